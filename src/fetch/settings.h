// What the machine already says about where to fetch from: pip's configuration, and the variables and files of Hugging
// Face's own programs. A person who set these up once has set them up for Concerto.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace concerto::fetch {

// A variable's value, empty when it is unset.
using Environment = std::function<std::string(const char*)>;
Environment process_environment();

// One value of a pip configuration file: the section decides over [global]. Empty when there is none.
std::string pip_option(std::string_view text, std::string_view section, std::string_view option);

// The indexes that `pip download` would ask, in its order: PIP_INDEX_URL, else the last of pip's files that names one,
// else PyPI; then the extra ones.
std::vector<std::string> package_indexes(const Environment& environment);

// PEM file of certificates for everything: CURL_CA_BUNDLE, SSL_CERT_FILE, REQUESTS_CA_BUNDLE or pip's `cert`; empty:
// the system's.
std::string ca_file(const Environment& environment);

std::string hub_endpoint(const Environment& environment);  // HF_ENDPOINT, else Hugging Face
// HF_TOKEN, else the file that Hugging Face's login writes; empty: none.
std::string hub_token(const Environment& environment);

}  // namespace concerto::fetch
