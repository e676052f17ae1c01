#include "api/wire/messages.h"

#include <fmt/format.h>

#include <algorithm>

namespace concerto::api {
namespace {

using base::Code;
using base::fail;
using cascade::ChatMessage;

constexpr size_t kMaxMessages = 4096;
constexpr size_t kMaxParts = 256;
constexpr size_t kMaxName = 256;

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> all) {
  return std::find(all.begin(), all.end(), text) != all.end();
}

// One part of a content array: text is appended, images are counted.
base::Status read_part(const FieldReader& message, const Json& part, const std::string& name, ChatMessage* out) {
  if (!part.is_object()) return message.expected(name, "an object with a type", part);
  const FieldReader reader(part, message.path_of(name));
  std::string type;
  TRY_STATUS(reader.required_string("type", kMaxName, &type));
  if (is_one_of(type, {"text", "refusal"})) {
    const char* field = type == "text" ? "text" : "refusal";
    const Json* text = reader.find(field);
    if (text == nullptr || !text->is_string()) return reader.expected(field, "a string", text ? *text : Json());
    if (!out->content.empty()) out->content.push_back('\n');
    out->content += text->get_ref<const std::string&>();
    return {};
  }
  if (type == "image_url") {
    const Json* image = reader.find("image_url");
    if (image == nullptr || !image->is_object()) {
      return reader.expected("image_url", "an object with a url", image ? *image : Json());
    }
    std::string url;
    const FieldReader inner(*image, reader.path_of("image_url"));
    TRY_STATUS(inner.required_string("url", SIZE_MAX, &url));
    ++out->images;
    return {};
  }
  if (is_one_of(type, {"input_audio", "file", "video_url", "input_image"})) {
    return reader.unsupported("type", fmt::format("parts of type '{}' are not supported: send text", type));
  }
  return reader.expected("type", "'text' or 'image_url'", *reader.find("type"));
}

base::Status read_content(const FieldReader& reader, const Json* content, bool optional, ChatMessage* out) {
  if (content == nullptr) {
    if (optional) return {};
    return reader.expected("content", "a string or an array of parts", Json());
  }
  if (content->is_string()) {
    out->content = content->get<std::string>();
    return {};
  }
  if (!content->is_array()) return reader.expected("content", "a string or an array of parts", *content);
  if (content->empty() || content->size() > kMaxParts) {
    return reader.expected("content", fmt::format("an array of 1 to {} parts", kMaxParts), *content);
  }
  for (size_t i = 0; i < content->size(); ++i) {
    TRY_STATUS(read_part(reader, (*content)[i], fmt::format("content[{}]", i), out));
  }
  return {};
}

// The calls an assistant turn of the history made; kept as JSON for the template, checked so that it can't trip it up.
base::Status read_tool_calls(const FieldReader& reader, ChatMessage* out) {
  const Json* calls = reader.find("tool_calls");
  if (calls == nullptr) return {};
  if (!calls->is_array()) return reader.expected("tool_calls", "an array", *calls);
  for (size_t i = 0; i < calls->size(); ++i) {
    const Json& call = (*calls)[i];
    const std::string name = fmt::format("tool_calls[{}]", i);
    if (!call.is_object()) return reader.expected(name, "an object", call);
    const FieldReader one(call, reader.path_of(name));
    const Json* function = one.find("function");
    if (function == nullptr || !function->is_object()) {
      return one.expected("function", "an object with name and arguments", function ? *function : Json());
    }
    const FieldReader inner(*function, one.path_of("function"));
    std::string text;
    TRY_STATUS(inner.required_string("name", kMaxName, &text));
    TRY_STATUS(inner.string("arguments", SIZE_MAX, &text));
  }
  if (!calls->empty()) out->tool_calls_json = dump(*calls);
  return {};
}

base::Result<ChatMessage> read_message(const Json& value, const std::string& path, std::vector<std::string>* ignored) {
  const FieldReader reader(value, path);
  ChatMessage out;
  TRY_STATUS(reader.required_string("role", kMaxName, &out.role));
  if (out.role == "developer") out.role = "system";
  if (!is_one_of(out.role, {"system", "user", "assistant", "tool"})) {
    return reader.expected("role", "'system', 'developer', 'user', 'assistant' or 'tool'", *reader.find("role"));
  }
  const bool assistant = out.role == "assistant";
  if (assistant) TRY_STATUS(read_tool_calls(reader, &out));
  // An assistant turn may be calls alone, or its thoughts alone.
  TRY_STATUS(read_content(reader, reader.find("content"), assistant, &out));
  TRY_STATUS(reader.string("name", kMaxName, &out.name));
  TRY_STATUS(reader.string("reasoning", SIZE_MAX, &out.reasoning_content));
  TRY_STATUS(reader.string("reasoning_content", SIZE_MAX, &out.reasoning_content));
  if (out.role == "tool") TRY_STATUS(reader.required_string("tool_call_id", kMaxName, &out.tool_call_id));
  for (const auto& [key, field] : value.items()) {
    if (field.is_null() || is_one_of(key, {"role", "content", "name"})) continue;
    if (assistant && is_one_of(key, {"tool_calls", "reasoning", "reasoning_content"})) continue;
    if (out.role == "tool" && key == "tool_call_id") continue;
    add_ignored(ignored, "messages[]." + key);
  }
  return out;
}

}  // namespace

void add_ignored(std::vector<std::string>* ignored, std::string name) {
  if (std::find(ignored->begin(), ignored->end(), name) == ignored->end()) ignored->push_back(std::move(name));
}

base::Result<std::vector<ChatMessage>> read_messages(const Json& object, std::vector<std::string>* ignored) {
  const FieldReader reader(object, "");
  const Json* messages = reader.find("messages");
  if (messages == nullptr) {
    return fail(Code::kInvalidArgument, "messages: expected an array of messages, found nothing", "messages");
  }
  if (!messages->is_array() || messages->empty() || messages->size() > kMaxMessages) {
    return reader.expected("messages", fmt::format("an array of 1 to {} messages", kMaxMessages), *messages);
  }
  std::vector<ChatMessage> out;
  out.reserve(messages->size());
  for (size_t i = 0; i < messages->size(); ++i) {
    const Json& value = (*messages)[i];
    const std::string path = fmt::format("messages[{}]", i);
    if (!value.is_object()) return reader.expected(path, "an object with role and content", value);
    TRY(ChatMessage message, read_message(value, path, ignored));
    out.push_back(std::move(message));
  }
  return out;
}

}  // namespace concerto::api
