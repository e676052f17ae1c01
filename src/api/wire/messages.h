// The `messages` of a chat request. Internal to wire/.
#pragma once

#include <string>
#include <vector>

#include "api/wire/json.h"
#include "cascade/chat.h"

namespace concerto::api {

// Reads object["messages"]; fields without effect are added to `ignored`, each name once.
base::Result<std::vector<cascade::ChatMessage>> read_messages(const Json& object, std::vector<std::string>* ignored);

void add_ignored(std::vector<std::string>* ignored, std::string name);

}  // namespace concerto::api
