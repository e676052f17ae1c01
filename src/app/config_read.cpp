// concerto.toml -> Config.
#define TOML_EXCEPTIONS 0
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "app/config.h"
#include "app/nearest.h"
#include "app/paths.h"

namespace concerto::app {
namespace {

using base::Code;
using base::fail;

constexpr size_t kMaxErrors = 20;

// What went wrong in a file, in the order of its lines.
class Errors {
 public:
  explicit Errors(std::string file) : file_(std::move(file)) {}
  void add(const toml::source_region& at, std::string_view what) {
    all_.emplace_back(at.begin.line, fmt::format("{}:{}: {}", file_, at.begin.line, what));
  }
  [[nodiscard]] base::Status status() {
    if (all_.empty()) return {};
    std::stable_sort(all_.begin(), all_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::string text;
    for (size_t i = 0; i < all_.size() && i < kMaxErrors; ++i) text += (i == 0 ? "" : "\n") + all_[i].second;
    if (all_.size() > kMaxErrors) text += fmt::format("\n... and {} more", all_.size() - kMaxErrors);
    return fail(Code::kInvalidArgument, std::move(text), file_);
  }

 private:
  std::string file_;
  std::vector<std::pair<toml::source_index, std::string>> all_;
};

std::string describe(const toml::node& node) {
  if (const auto* text = node.as_string()) return fmt::format("\"{}\"", text->get().substr(0, 80));
  if (const auto* number = node.as_integer()) return fmt::format("{}", number->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  if (node.is_array()) return "an array";
  if (node.is_table()) return "a table";
  return "a date or time";
}

// Reads one table strictly; the destructor reports the keys that nobody asked for.
class Reader {
 public:
  Reader(const toml::table& table, std::string path, Errors* errors)
      : table_(table), path_(std::move(path)), errors_(errors) {}
  ~Reader() {
    for (const auto& [key, value] : table_) {
      if (known_.contains(key.str())) continue;
      std::string names;
      for (const auto& name : order_) names += (names.empty() ? "" : ", ") + name;
      const std::string near = nearest(std::string(key.str()), order_);
      errors_->add(key.source(), fmt::format("{}: unknown key{}; expected one of {}", name_of(key.str()),
                                             near.empty() ? "" : fmt::format(" (did you mean {}?)", near), names));
    }
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  bool has(const char* key) { return find(key) != nullptr; }

  bool text(const char* key, std::string* out, size_t max_bytes = 4096) {
    const toml::node* node = find(key);
    if (node == nullptr) return false;
    const auto* value = node->as_string();
    if (value == nullptr || value->get().empty() || value->get().size() > max_bytes ||
        value->get().find('\0') != std::string::npos) {
      expected(key, *node, "a text that isn't empty");
      return false;
    }
    *out = value->get();
    return true;
  }

  void integer(const char* key, int* out, int low, int high) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto* value = node->as_integer();
    if (value == nullptr || value->get() < low || value->get() > high) {
      expected(key, *node, fmt::format("an integer from {} to {}", low, high));
      return;
    }
    *out = static_cast<int>(value->get());
  }

  void boolean(const char* key, bool* out) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto* value = node->as_boolean();
    if (value == nullptr) {
      expected(key, *node, "true or false");
      return;
    }
    *out = value->get();
  }

  void number(const char* key, double* out, double low, double high) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto value = node->is_number() ? node->value<double>() : std::nullopt;
    if (!value || !(*value >= low && *value <= high)) {
      expected(key, *node, fmt::format("a number from {} to {}", low, high));
      return;
    }
    *out = *value;
  }

  void texts(const char* key, std::vector<std::string>* out) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto* array = node->as_array();
    if (array == nullptr) {
      expected(key, *node, "an array of texts");
      return;
    }
    out->clear();
    for (const auto& element : *array) {
      const auto* value = element.as_string();
      if (value == nullptr || value->get().empty()) {
        errors_->add(element.source(), fmt::format("{}[{}]: expected a text that isn't empty, found {}", name_of(key),
                                                   out->size(), describe(element)));
        return;
      }
      out->push_back(value->get());
    }
  }

  void path(const char* key, std::string* out, const std::string& folder) {
    if (text(key, out)) *out = resolve_path(*out, folder);
  }

  // The table of a section; nullptr when absent or no table (which is reported).
  const toml::table* section(const char* key) {
    const toml::node* node = find(key);
    if (node == nullptr) return nullptr;
    if (!node->is_table()) expected(key, *node, fmt::format("a table: [{}]", key));
    return node->as_table();
  }

  const toml::node* find(const char* key) {
    if (known_.insert(key).second) order_.emplace_back(key);
    return table_.get(key);
  }
  void expected(const char* key, const toml::node& found, std::string_view what) {
    errors_->add(found.source(), fmt::format("{}: expected {}, found {}", name_of(key), what, describe(found)));
  }
  void missing(const char* key, std::string_view what) {
    errors_->add(table_.source(), fmt::format("{}: expected {}, found none", name_of(key), what));
  }
  [[nodiscard]] std::string name_of(std::string_view key) const {
    return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  }

 private:
  const toml::table& table_;
  std::string path_;
  Errors* errors_;
  std::set<std::string, std::less<>> known_;
  std::vector<std::string> order_;
};

void read_server(const toml::table& table, const std::string& folder, ServerConfig* out, Errors* errors) {
  Reader reader(table, "server", errors);
  reader.text("bind", &out->bind, 64);
  reader.integer("port", &out->port, 0, 65535);
  reader.path("api_keys_file", &out->api_keys_file, folder);
  reader.path("admin_keys_file", &out->admin_keys_file, folder);
  reader.texts("allowed_origins", &out->allowed_origins);
  reader.texts("allowed_hosts", &out->allowed_hosts);
  reader.integer("worker_threads", &out->worker_threads, 1, 64);
  reader.integer("max_connections", &out->max_connections, 1, 100'000);
  reader.integer("max_body_mb", &out->max_body_mb, 1, 256);
  reader.integer("memory_mb", &out->memory_mb, 0, kMaxMemoryMb);
  reader.integer("drain_ms", &out->drain_ms, 0, 3'600'000);
}

void read_cascade(const toml::table& table, CascadeConfig* out, Errors* errors) {
  Reader reader(table, "cascade", errors);
  reader.number("threshold", &out->threshold, 0, 1);
  reader.integer("window_tokens", &out->window_tokens, 0, 1'000'000);
  reader.texts("keywords", &out->keywords);
  reader.texts("keyword_exceptions", &out->keyword_exceptions);
}

void read_local(Reader* reader, const std::string& folder, TierConfig* out) {
  reader->path("model", &out->model, folder);
  if (!reader->has("model")) reader->missing("model", "the path of a .gguf file or of a Hugging Face folder");
  reader->integer("threads", &out->threads, 0, 1024);
  reader->integer("context", &out->context, 0, 1 << 20);
  reader->integer("kv_mb", &out->kv_mb, 0, 1 << 20);
  reader->number("itl_target_ms", &out->itl_target_ms, kMinItlTargetMs, kMaxItlTargetMs);
  if (reader->text("quantize", &out->quantize) && out->quantize != "q8_0" && out->quantize != "q4_k") {
    reader->expected("quantize", *reader->find("quantize"), "\"q8_0\" or \"q4_k\"");
  }
  reader->path("draft", &out->draft, folder);
  std::string speculation;
  if (reader->text("speculation", &speculation)) {
    const auto mode = engine::speculation_named(speculation);
    if (!mode) reader->expected("speculation", *reader->find("speculation"), "\"off\", \"lookup\" or \"auto\"");
    out->speculation = mode.value_or(out->speculation);
  }
  reader->integer("max_running", &out->max_running, 1, 256);
  reader->integer("max_waiting", &out->max_waiting, 0, 100'000);
}

void read_upstream(Reader* reader, const std::string& folder, TierConfig* out) {
  // A cluster that says nothing for so long is as good as down; its whole answer may take longer.
  out->first_event_ms = 30'000;
  out->timeout_ms = 300'000;
  if (reader->text("base_url", &out->base_url)) {
    if (!out->base_url.starts_with("http://") && !out->base_url.starts_with("https://")) {
      reader->expected("base_url", *reader->find("base_url"), "a URL like \"https://host/v1\"");
    }
  } else if (!reader->has("base_url")) {
    reader->missing("base_url", "the address of an OpenAI-compatible server, like \"https://host/v1\"");
  }
  reader->text("model", &out->model, 256);
  if (!reader->has("model")) reader->missing("model", "the model's name at that server");
  reader->integer("context", &out->context, 0, 1 << 24);
  reader->boolean("logprobs", &out->logprobs);
  reader->path("api_key_file", &out->api_key_file, folder);
  reader->text("api_key_env", &out->api_key_env, 256);
  if (!out->api_key_file.empty() && !out->api_key_env.empty()) {
    reader->expected("api_key_env", *reader->find("api_key_env"),
                     "a key from a file or from the environment, not both");
  }
}

bool good_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

TierConfig read_tier(const toml::table& table, size_t index, const std::string& folder, Errors* errors) {
  TierConfig tier;
  Reader reader(table, fmt::format("tier[{}]", index), errors);
  if (reader.text("name", &tier.name)) {
    if (!good_name(tier.name) || tier.name == "concerto") {
      reader.expected("name", *reader.find("name"),
                      "letters, digits, '-', '_' and '.', at most 64, and not \"concerto\" (the cascade's own name)");
    }
  } else if (!reader.has("name")) {
    reader.missing("name", "the tier's name");
  }
  std::string kind;
  const bool has_kind = reader.text("kind", &kind);
  if (!has_kind && !reader.has("kind")) reader.missing("kind", "\"local\", \"upstream\" or \"people\"");
  // Before the others, so that an unknown kind doesn't make every other key unknown.
  if (kind == "local") {
    read_local(&reader, folder, &tier);
  } else if (kind == "upstream") {
    tier.kind = TierKind::kUpstream;
    read_upstream(&reader, folder, &tier);
  } else if (kind == "people") {
    tier.kind = TierKind::kPeople;
    return tier;
  } else {
    if (has_kind) reader.expected("kind", *reader.find("kind"), "\"local\", \"upstream\" or \"people\"");
    for (const auto& [key, value] : table) reader.find(std::string(key.str()).c_str());
    return tier;
  }
  reader.integer("timeout_ms", &tier.timeout_ms, 0, 86'400'000);
  reader.integer("first_event_ms", &tier.first_event_ms, 0, 86'400'000);
  return tier;
}

void read_tiers(const toml::node& node, const std::string& folder, std::vector<TierConfig>* out, Errors* errors) {
  const auto* array = node.as_array();
  if (array == nullptr) {
    errors->add(node.source(), fmt::format("tier: expected [[tier]] (with two brackets), found {}", describe(node)));
    return;
  }
  std::map<std::string, size_t> names;
  for (size_t i = 0; i < array->size(); ++i) {
    const toml::node& element = *array->get(i);
    const auto* table = element.as_table();
    if (table == nullptr) {
      errors->add(element.source(), fmt::format("tier[{}]: expected a table, found {}", i, describe(element)));
      continue;
    }
    out->push_back(read_tier(*table, i, folder, errors));
    const TierConfig& tier = out->back();
    if (!tier.name.empty() && !names.emplace(tier.name, i).second) {
      errors->add(element.source(),
                  fmt::format("tier[{}].name: expected a name of its own, found \"{}\" again (tier[{}])", i, tier.name,
                              names[tier.name]));
    }
    if (tier.kind == TierKind::kPeople && i + 1 < array->size()) {
      errors->add(
          element.source(),
          fmt::format("tier[{}].kind: expected \"people\" in the last tier only: they never pass a request on", i));
    }
  }
}

}  // namespace

base::Result<Config> parse_config(std::string_view text, const std::string& file) {
  const toml::parse_result parsed = toml::parse(text, file);
  if (!parsed) {
    const auto& error = parsed.error();
    return fail(
        Code::kInvalidArgument,
        fmt::format("{}:{}:{}: {}", file, error.source().begin.line, error.source().begin.column, error.description()),
        file);
  }
  Config config;
  config.file = file;
  config.store_path = data_folder() + "/concerto.db";
  std::string folder = std::filesystem::path(file).parent_path().string();
  if (folder.empty()) folder.assign(1, '.');
  Errors errors(file);
  {
    Reader root(parsed.table(), "", &errors);
    if (const auto* server = root.section("server")) read_server(*server, folder, &config.server, &errors);
    if (const toml::node* tiers = root.find("tier")) read_tiers(*tiers, folder, &config.tiers, &errors);
    if (!root.has("tier")) {
      errors.add({{1, 1}, {1, 1}, nullptr},
                 "tier: expected at least one [[tier]], found none; `concerto init` writes a whole file");
    }
    if (const auto* cascade = root.section("cascade")) read_cascade(*cascade, &config.cascade, &errors);
    if (const auto* store = root.section("store")) {
      Reader reader(*store, "store", &errors);
      reader.path("path", &config.store_path, folder);
    }
  }
  TRY_STATUS(errors.status());
  return config;
}

}  // namespace concerto::app
