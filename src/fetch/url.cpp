#include "fetch/url.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "net/percent.h"

namespace concerto::fetch {
namespace {

using base::Code;

struct Parsed {
  std::unique_ptr<CURLU, void (*)(CURLU*)> handle{curl_url(), curl_url_cleanup};

  bool set(const std::string& url) const {
    return handle != nullptr && url.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos &&
           curl_url_set(handle.get(), CURLUPART_URL, url.c_str(), 0) == CURLUE_OK;
  }
  [[nodiscard]] std::string get(CURLUPart part, unsigned flags = 0) const {
    char* text = nullptr;
    if (curl_url_get(handle.get(), part, &text, flags) != CURLUE_OK) return {};
    std::string out(text);
    curl_free(text);
    return out;
  }
};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : static_cast<char>(c);
  });
  return text;
}

bool is_letter_or_digit(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

base::Result<std::string> resolve_link(const std::string& base, const std::string& link) {
  const Parsed url;
  if (!url.set(base) || !url.set(link)) {
    return base::fail(Code::kInvalidArgument,
                      fmt::format("{}: expected an http or https URL, found '{}'", shown_url(base), shown_url(link)));
  }
  const std::string scheme = lower(url.get(CURLUPART_SCHEME));
  if (scheme != "http" && scheme != "https") {
    return base::fail(Code::kInvalidArgument,
                      fmt::format("{}: expected http or https, found '{}'", shown_url(link), scheme));
  }
  return url.get(CURLUPART_URL);
}

std::string origin_of(const std::string& url) {
  const Parsed parsed;
  if (!parsed.set(url)) return {};
  return lower(fmt::format("{}://{}:{}", parsed.get(CURLUPART_SCHEME), parsed.get(CURLUPART_HOST),
                           parsed.get(CURLUPART_PORT, CURLU_DEFAULT_PORT)));
}

bool is_loopback(const std::string& url) {
  const Parsed parsed;
  if (!parsed.set(url)) return false;
  const std::string host = lower(parsed.get(CURLUPART_HOST));
  return host == "localhost" || host == "[::1]" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

std::string file_name_of(const std::string& url) {
  const Parsed parsed;
  if (!parsed.set(url)) return {};
  const std::string path = parsed.get(CURLUPART_PATH);
  const auto name = net::percent_decode(std::string_view(path).substr(path.rfind('/') + 1));
  return name && is_plain_name(*name) ? *name : std::string();
}

std::string shown_url(std::string_view url) {
  const size_t scheme = url.find("://");
  std::string_view rest = scheme == std::string_view::npos ? url : url.substr(scheme + 3);
  rest = rest.substr(0, rest.find_first_of("?#"));
  if (const size_t at = rest.substr(0, rest.find('/')).rfind('@'); at != std::string_view::npos) {
    rest.remove_prefix(at + 1);
  }
  std::string out = scheme == std::string_view::npos ? "" : std::string(url.substr(0, scheme + 3));
  for (const char c : rest.substr(0, 200)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return out;
}

std::string encode(std::string_view text, bool keep_slashes) {
  std::string out;
  for (const char c : text) {
    if (is_letter_or_digit(c) || c == '-' || c == '.' || c == '_' || c == '~' || (keep_slashes && c == '/')) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

bool is_plain_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= 200 && name.front() != '.' &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-' || c == '+'; });
}

}  // namespace concerto::fetch
