// The body of POST /v1/chat/completions as a ChatRequest. Pure: any thread.
//
// Each field is honoured, or refused by an error that names it, or listed in `ignored`; none is dropped in silence.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cascade/chat.h"

namespace concerto::api {

struct ChatCall {
  cascade::ChatRequest request;  // without id
  std::string model;
  int n = 1;                         // answers wanted
  bool include_usage = false;        // stream_options.include_usage
  std::vector<std::string> ignored;  // fields that have no effect here, for the x-ignored-params header
};

base::Result<ChatCall> parse_chat_request(std::string_view body);

}  // namespace concerto::api
