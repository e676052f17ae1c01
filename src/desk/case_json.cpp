#include "desk/case_json.h"

#include <nlohmann/json.hpp>

namespace concerto::desk {
namespace {

using Json = nlohmann::ordered_json;

// A draft that was given up may end inside a character: U+FFFD rather than an exception.
std::string dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string messages_json(const std::vector<cascade::ChatMessage>& messages) {
  Json all = Json::array();
  for (const auto& message : messages) {
    Json one = {{"role", message.role}, {"content", message.content}};
    if (!message.reasoning_content.empty()) one["reasoning_content"] = message.reasoning_content;
    if (!message.name.empty()) one["name"] = message.name;
    if (!message.tool_call_id.empty()) one["tool_call_id"] = message.tool_call_id;
    if (!message.tool_calls_json.empty()) {
      Json calls = Json::parse(message.tool_calls_json, nullptr, false);
      one["tool_calls"] = calls.is_discarded() ? Json(message.tool_calls_json) : std::move(calls);
    }
    if (message.images > 0) one["images"] = message.images;
    all.push_back(std::move(one));
  }
  return dump(all);
}

std::string drafts_json(const std::vector<cascade::Draft>& drafts) {
  Json all = Json::array();
  for (const auto& draft : drafts) {
    all.push_back({{"tier", draft.tier},
                   {"outcome", draft.outcome},
                   {"content", draft.content},
                   {"reasoning", draft.reasoning},
                   {"confidence", draft.confidence ? Json(*draft.confidence) : Json(nullptr)},
                   {"model_id", draft.model_id}});
  }
  return dump(all);
}

std::string indented(const std::string& json) {
  const Json value = Json::parse(json, nullptr, false);
  return value.is_discarded() ? json : value.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace concerto::desk
