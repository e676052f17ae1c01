#include "cascade/prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "text/think_splitter.h"

namespace concerto::cascade {
namespace {

using base::Code;
using Json = nlohmann::ordered_json;

// Noncharacters: valid in UTF-8, never in anybody's vocabulary, and shielded themselves when a user sends them.
constexpr std::string_view kOpen = "\xEF\xB7\x90";   // U+FDD0
constexpr std::string_view kClose = "\xEF\xB7\x91";  // U+FDD1

std::string dump(const Json& value) {
  return value.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace

// Replaces control texts by numbered stand-ins and puts them back, as plain text, when the prompt is encoded.
class PromptBuilder::Shield {
 public:
  explicit Shield(const std::vector<std::string>& control) : control_(control) {}

  std::string cover(std::string_view text) {
    std::string out;
    size_t done = 0;
    for (size_t i = 0; i < text.size();) {
      const size_t size = control_at(text.substr(i));
      if (size == 0) {
        ++i;
        continue;
      }
      out.append(text.substr(done, i - done));
      fmt::format_to(std::back_inserter(out), "{}{}{}", kOpen, covered_.size(), kClose);
      covered_.emplace_back(text.substr(i, size));
      i += size;
      done = i;
    }
    out.append(text.substr(done));
    return out;
  }

  void cover_strings(Json* value) {
    if (value->is_string()) {
      *value = cover(value->get_ref<const std::string&>());
    } else if (value->is_structured()) {
      for (auto& item : *value) cover_strings(&item);
    }
  }

  [[nodiscard]] std::vector<int32_t> encode(std::string_view rendered, const text::Tokenizer& tokenizer) const {
    if (covered_.empty()) return tokenizer.encode(rendered, true);
    std::vector<int32_t> ids;
    const auto append = [&](std::string_view part, bool special) {
      if (part.empty()) return;
      const auto more = tokenizer.encode(part, special);
      ids.insert(ids.end(), more.begin(), more.end());
    };
    while (!rendered.empty()) {
      const size_t open = rendered.find(kOpen);
      const size_t close = open == std::string_view::npos ? open : rendered.find(kClose, open);
      if (close == std::string_view::npos) break;
      append(rendered.substr(0, open), true);
      size_t index = 0;
      for (const char c : rendered.substr(open + kOpen.size(), close - open - kOpen.size())) {
        index = index * 10 + static_cast<size_t>(c - '0');
      }
      if (index < covered_.size()) append(covered_[index], false);
      rendered.remove_prefix(close + kClose.size());
    }
    append(rendered, true);
    return ids;
  }

 private:
  [[nodiscard]] size_t control_at(std::string_view text) const {
    if (text.front() == kOpen.front() && (text.starts_with(kOpen) || text.starts_with(kClose))) return kOpen.size();
    for (const std::string& one : control_) {
      if (one.front() == text.front() && text.starts_with(one)) return one.size();
    }
    return 0;
  }

  const std::vector<std::string>& control_;
  std::vector<std::string> covered_;
};

PromptBuilder::PromptBuilder(const text::ChatTemplate& chat_template, const text::Tokenizer& tokenizer)
    : template_(chat_template), tokenizer_(tokenizer) {
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (!tokenizer.is_special(id)) continue;
    std::string text(tokenizer.token_bytes(id));
    if (!text.empty()) control_.push_back(std::move(text));
  }
  std::stable_sort(control_.begin(), control_.end(),
                   [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
}

base::Result<Prompt> PromptBuilder::build(const ChatRequest& request, int64_t wall_ms) const {
  Shield shield(control_);
  Json messages = Json::array();
  for (size_t i = 0; i < request.messages.size(); ++i) {
    const ChatMessage& message = request.messages[i];
    if (message.images > 0) {
      return base::fail(
          Code::kUnsupported,
          fmt::format("messages[{}]: expected text, found {} image(s): this model can't see", i, message.images),
          "messages");
    }
    Json one = {{"role", message.role}, {"content", shield.cover(message.content)}};
    if (!message.reasoning_content.empty()) one["reasoning_content"] = shield.cover(message.reasoning_content);
    if (!message.name.empty()) one["name"] = shield.cover(message.name);
    if (!message.tool_call_id.empty()) one["tool_call_id"] = shield.cover(message.tool_call_id);
    if (!message.tool_calls_json.empty()) {
      Json calls = Json::parse(message.tool_calls_json, nullptr, /*allow_exceptions=*/false);
      if (!calls.is_array()) {
        return base::fail(Code::kInvalidArgument, fmt::format("messages[{}].tool_calls: expected an array", i),
                          "messages");
      }
      for (Json& call : calls) {
        // Templates print arguments as JSON: OpenAI's string must be the object that it spells.
        if (!call.is_object() || !call.contains("function") || !call["function"].is_object()) continue;
        Json& function = call["function"];
        const auto arguments = function.find("arguments");
        if (arguments == function.end() || !arguments->is_string()) continue;
        Json parsed = Json::parse(arguments->get_ref<const std::string&>(), nullptr, false);
        if (parsed.is_object()) *arguments = std::move(parsed);
      }
      shield.cover_strings(&calls);
      one["tool_calls"] = std::move(calls);
    }
    messages.push_back(std::move(one));
  }
  text::TemplateInput input;
  input.messages_json = dump(messages);
  input.tools_json = request.tools_json;
  input.extra_json = request.extra_template_json;
  input.wall_ms = wall_ms;
  TRY(const std::string rendered, template_.render(input));
  Prompt out;
  out.ids = shield.encode(rendered, tokenizer_);
  if (tokenizer_.adds_bos() && (out.ids.empty() || out.ids.front() != tokenizer_.bos())) {
    out.ids.insert(out.ids.begin(), tokenizer_.bos());
  }
  if (out.ids.empty()) {
    return base::fail(Code::kInvalidArgument, "messages: expected a prompt, found that the template renders nothing",
                      "messages");
  }
  out.opens_think = text::prompt_opens_think(rendered);
  return out;
}

}  // namespace concerto::cascade
