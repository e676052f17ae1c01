#include "cascade/needs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace concerto::cascade {
namespace {

using base::Code;
using base::Error;

Lack lacks(std::string_view need, Code code, std::string message, std::string param) {
  return {fmt::format("skipped:{}", need), Error{code, std::move(message), std::move(param)}, false};
}

}  // namespace

Fit fit(const ChatRequest& request, const Backend& backend) {
  Fit out;
  const Capabilities caps = backend.capabilities();
  if (caps.person) return out;
  int images = 0;
  for (const ChatMessage& message : request.messages) images += message.images;
  if (images > 0 && !caps.images) {
    out.lack = lacks("images", Code::kUnsupported,
                     fmt::format("messages: expected text for tier {}, found {} image{}: it can't see", backend.name(),
                                 images, images == 1 ? "" : "s"),
                     "messages");
    return out;
  }
  if (!request.tools_json.empty() && !caps.tools) {
    out.lack = lacks("tools", Code::kUnsupported,
                     fmt::format("tools: expected none for tier {}: it can't call tools", backend.name()), "tools");
    return out;
  }
  auto count = backend.count_tokens(request);
  if (!count) {
    if (count.error().code == Code::kUnsupported) return out;  // it finds out for itself
    Error error = std::move(count).error();
    error.message = fmt::format("tier {}: {}", backend.name(), error.message);
    out.lack = Lack{fmt::format("error:{}", base::code_name(error.code)), std::move(error), false};
    return out;
  }
  out.prompt_tokens = *count;
  if (caps.context <= 0) return out;
  const int64_t wanted = request.max_tokens ? *request.max_tokens : kMinAnswerTokens;
  if (*count + wanted <= caps.context) return out;
  const std::string answer =
      request.max_tokens ? fmt::format("max_tokens {}", wanted) : fmt::format("room for an answer of {}", wanted);
  out.lack = lacks("context", Code::kContextLength,
                   fmt::format("messages: expected prompt and answer within the {} tokens of tier {}, found a prompt "
                               "of {} tokens and {}",
                               caps.context, backend.name(), *count, answer),
                   "messages");
  out.lack->only_max_tokens =
      request.max_tokens && *count + std::min<int64_t>(wanted, kMinAnswerTokens) <= caps.context;
  if (out.lack->only_max_tokens) out.lack->error.param = "max_tokens";
  return out;
}

}  // namespace concerto::cascade
