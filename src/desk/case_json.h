// The parts of a case that are kept as JSON: the conversation, and what the tiers wrote. Pure: any thread.
//
// The conversation has the shape of a chat request's `messages`, so that an export reads it without translating.
#pragma once

#include <string>
#include <vector>

#include "cascade/chat.h"

namespace concerto::desk {

// [{"role", "content", ...}]; empty optional fields are left out. An image of the request shows as its count.
std::string messages_json(const std::vector<cascade::ChatMessage>& messages);

// [{"tier", "outcome", "content", "reasoning", "confidence", "model_id"}]; confidence is null when there was none.
std::string drafts_json(const std::vector<cascade::Draft>& drafts);

// JSON text with a line for each value, for people; as it is when it doesn't parse.
std::string indented(const std::string& json);

}  // namespace concerto::desk
