#include "fetch/hub.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "fetch/url.h"
#include "formats/json_reader.h"

namespace concerto::fetch {
namespace {

using base::Code;

constexpr int kMaxPages = 100;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }
bool is_gguf(const HubFile& file) { return lower(file.path).ends_with(".gguf"); }

// What a Hugging Face folder needs; all of it stands at the top of the repository.
bool belongs_to_folder(const HubFile& file) {
  const std::string& path = file.path;
  if (path.find('/') != std::string::npos || path.front() == '.') return false;
  if (path.ends_with(".safetensors")) return path.starts_with("model");  // not a second copy ("consolidated…")
  static constexpr std::string_view kNames[] = {"config.json",
                                                "generation_config.json",
                                                "model.safetensors.index.json",
                                                "vocab.json",
                                                "merges.txt",
                                                "special_tokens_map.json",
                                                "added_tokens.json",
                                                "chat_template.jinja"};
  return std::find(std::begin(kNames), std::end(kNames), path) != std::end(kNames) ||
         (path.starts_with("tokenizer") && path.ends_with(".json"));
}

// "Q4_K_M" in "qwen2.5-0.5b-instruct-q4_k_m.gguf": a word of the name, case aside.
bool has_quant(std::string_view path, std::string_view quant) {
  const std::string name = lower(base_name(path));
  const std::string word = lower(quant);
  for (size_t at = 0; (at = name.find(word, at)) != std::string::npos; ++at) {
    const size_t end = at + word.size();
    const bool begins = at > 0 && (name[at - 1] == '-' || name[at - 1] == '.' || name[at - 1] == '_');
    if (begins && end < name.size() && (name[end] == '.' || name[end] == '-')) return true;
  }
  return false;
}

std::string bearer_of(const HubRepo& repo) {
  return repo.token.empty() ? std::string() : fmt::format("Bearer {}", repo.token);
}

// "x-00001-of-00003.gguf".
bool is_split(const HubFile& file) { return file.path.find("-of-0") != std::string::npos; }

std::string listed(const std::vector<HubFile>& files) {
  std::string out;
  for (size_t i = 0; i < files.size() && i < 20; ++i) out += fmt::format("{}{}", i == 0 ? "" : ", ", files[i].path);
  if (files.size() > 20) out += fmt::format(" and {} more", files.size() - 20);
  return out.empty() ? "nothing" : out;
}

// rel="next" of a Link field (RFC 8288).
std::string next_link(const net::HttpHeaders& headers) {
  const std::string* link = headers.find("Link");
  if (link == nullptr) return {};
  const size_t rel = link->find("rel=\"next\"");
  const size_t open = rel == std::string::npos ? rel : link->rfind('<', rel);
  const size_t close = open == std::string::npos ? open : link->find('>', open);
  return close == std::string::npos ? std::string() : link->substr(open + 1, close - open - 1);
}

// A path of plain parts: it can leave no folder, neither here nor in an address.
bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > 1024 || path.front() == '/') return false;
  while (true) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string_view::npos) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

base::Status read_entry(formats::JsonReader& json, std::vector<HubFile>* files) {
  HubFile file;
  std::string type;
  std::string blob;
  std::string sha256;
  TRY_STATUS(json.object([&](std::string_view key) -> base::Status {
    if (key == "type") {
      TRY(type, json.string());
    } else if (key == "path") {
      TRY(file.path, json.string());
    } else if (key == "oid") {
      TRY(blob, json.string());
    } else if (key == "size") {
      TRY(file.size, json.uint64());
    } else if (key == "lfs") {
      TRY(const auto kind, json.peek());
      if (kind == formats::JsonReader::Kind::kNull) return json.null();
      return json.object([&](std::string_view part) -> base::Status {
        if (part != "oid") return json.skip();
        TRY(sha256, json.string());
        return {};
      });
    } else {
      return json.skip();
    }
    return {};
  }));
  if (type != "file") return {};
  if (sha256.starts_with("sha256:")) sha256.erase(0, 7);
  file.checksum =
      sha256.empty() ? Checksum{ChecksumKind::kGitBlob, lower(blob)} : Checksum{ChecksumKind::kSha256, lower(sha256)};
  if (!is_checksum(file.checksum.hex, file.checksum.kind)) {
    return json.error(Code::kCorrupt, fmt::format("a {} of {}", checksum_name(file.checksum.kind), file.path),
                      fmt::format("'{}'", file.checksum.hex.substr(0, 70)));
  }
  if (!is_safe_path(file.path))
    return json.error(Code::kCorrupt, "a path inside the repository", fmt::format("'{}'", file.path));
  files->push_back(std::move(file));
  return {};
}

}  // namespace

base::Result<std::vector<HubFile>> read_tree(std::string_view text, const std::string& name) {
  std::vector<HubFile> files;
  formats::JsonReader json(text, name);
  TRY_STATUS(json.array([&](size_t) -> base::Status { return read_entry(json, &files); }));
  TRY_STATUS(json.end());
  return files;
}

base::Result<std::vector<HubFile>> list_repo(Downloader& downloader, const HubRepo& repo) {
  if (!repo.token.empty() && !repo.endpoint.starts_with("https://") && !is_loopback(repo.endpoint)) {
    return base::fail(Code::kForbidden, fmt::format("{}: expected https for an access token, found plain http; unset "
                                                    "HF_TOKEN to go without it",
                                                    shown_url(repo.endpoint)));
  }
  std::vector<HubFile> all;
  std::string url = fmt::format("{}/api/models/{}/tree/{}?recursive=true", repo.endpoint, encode(repo.id, true),
                                encode(repo.revision));
  const std::string home = origin_of(url);
  const std::string bearer = bearer_of(repo);
  for (int pages = 0; !url.empty(); ++pages) {
    TRY(const auto page, downloader.page(url, origin_of(url) == home ? bearer : ""));
    if (page.status == 401 || page.status == 403) {
      return base::fail(
          page.status == 401 ? Code::kUnauthorized : Code::kForbidden,
          fmt::format("{}: {} answers {}: no such model, or one that needs an access token{}", repo.id, shown_url(url),
                      page.status, repo.token.empty() ? " (HF_TOKEN; none was given)" : " that may read it"));
    }
    if (page.status != 200) {
      return base::fail(
          page.status == 404 ? Code::kNotFound : Code::kUpstream,
          fmt::format("{}: expected a model with the revision {} at {}, found {} ({})", repo.id, repo.revision,
                      shown_url(repo.endpoint), page.status, net::reason_phrase(page.status)));
    }
    TRY(const auto files, read_tree(page.body, shown_url(url)));
    all.insert(all.end(), files.begin(), files.end());
    const std::string next = next_link(page.headers);
    if (next.empty()) break;
    if (pages == kMaxPages)
      return base::fail(Code::kTooLarge,
                        fmt::format("{}: expected at most {} pages of files, found more", repo.id, kMaxPages));
    TRY(url, resolve_link(page.url, next));
  }
  return all;
}

base::Result<HubChoice> choose_files(const std::vector<HubFile>& files, const std::string& wanted,
                                     const std::string& name) {
  HubChoice choice;
  std::vector<HubFile> ggufs;
  for (const HubFile& file : files) {
    if (is_gguf(file) && !base_name(file.path).starts_with("mmproj")) ggufs.push_back(file);
  }
  if (wanted.empty()) {
    for (const HubFile& file : files) {
      if (belongs_to_folder(file)) choice.files.push_back(file);
    }
    const auto has = [&](const auto& test) { return std::any_of(choice.files.begin(), choice.files.end(), test); };
    choice.folder = has([](const HubFile& f) { return f.path == "config.json"; }) &&
                    has([](const HubFile& f) { return f.path.ends_with(".safetensors"); });
    if (choice.folder) {
      std::stable_sort(choice.files.begin(), choice.files.end(), [](const HubFile& a, const HubFile& b) {
        return !a.path.ends_with(".safetensors") && b.path.ends_with(".safetensors");
      });
      return choice;
    }
    choice.files = ggufs;
    if (ggufs.size() > 1) {
      std::erase_if(choice.files, [](const HubFile& f) { return !has_quant(f.path, "Q4_K_M"); });
    }
  } else {
    const auto exact = std::find_if(files.begin(), files.end(), [&](const HubFile& f) { return f.path == wanted; });
    if (exact != files.end()) {
      choice.files = {*exact};
    } else {
      choice.files = ggufs;
      std::erase_if(choice.files, [&](const HubFile& f) { return !has_quant(f.path, wanted); });
    }
  }
  if (choice.files.size() != 1) {
    const std::string expected = wanted.empty() ? "safetensors with a config.json, or one .gguf"
                                                : fmt::format("one .gguf that '{}' names", wanted);
    const auto& shown = choice.files.empty() ? (ggufs.empty() ? files : ggufs) : choice.files;
    return base::fail(choice.files.empty() ? Code::kNotFound : Code::kInvalidArgument,
                      fmt::format("{}: expected {}, found {}{}", name, expected, listed(shown),
                                  ggufs.empty() ? "" : fmt::format("; choose with {}:FILE", name)));
  }
  if (!is_gguf(choice.files[0])) {
    return base::fail(Code::kInvalidArgument, fmt::format("{}: expected a .gguf file, found {}", name, wanted));
  }
  if (is_split(choice.files[0])) {
    return base::fail(Code::kUnsupported, fmt::format("{}: {}: expected a .gguf in one piece, found one of several",
                                                      name, choice.files[0].path));
  }
  return choice;
}

Source source_of(const HubRepo& repo, const HubFile& file) {
  Source source;
  source.url = fmt::format("{}/{}/resolve/{}/{}", repo.endpoint, encode(repo.id, true), encode(repo.revision),
                           encode(file.path, true));
  source.authorization = bearer_of(repo);
  source.name = file.path;
  source.size = file.size;
  source.checksum = file.checksum;
  return source;
}

}  // namespace concerto::fetch
