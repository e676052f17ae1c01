// Addresses: taken apart and put together by libcurl's own parser, so that what is checked is what is asked.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace concerto::fetch {

// `link` as a page at `base` means it; an absolute link stands for itself. Only http and https.
base::Result<std::string> resolve_link(const std::string& base, const std::string& link);

// "https://host:443" in lower case, with the port always: who may be told a secret. Empty for what is no URL.
std::string origin_of(const std::string& url);

// An address of this machine, where plain http tells nobody else.
bool is_loopback(const std::string& url);

// The name that the path ends with, percent-decoded; empty when it ends with '/' or isn't a plain file name.
std::string file_name_of(const std::string& url);

// For messages: without user, password, query and fragment.
std::string shown_url(std::string_view url);

// Percent-encodes all but unreserved characters (RFC 3986); '/' too, unless `keep_slashes`.
std::string encode(std::string_view text, bool keep_slashes = false);

// A name that may stand in a folder: letters, digits, '.', '_', '-' and '+', not beginning with '.', at most 200 bytes.
bool is_plain_name(std::string_view name) noexcept;

}  // namespace concerto::fetch
