// measure_served(): a server started as a child, asked over HTTP as its clients ask, and ended again. The same requests
// for every contender: OpenAI's chat completions, streamed.
#pragma once

#include <string>

#include "base/result.h"
#include "eval/bench/contender.h"
#include "eval/bench/shape.h"

namespace concerto::eval {

struct ServedFigures {
  double seconds = 0;
  double side = 0;  // side_figure()'s
};

// folder: a scratch folder. kUpstream: the server did not start, or an answer was none.
base::Result<ServedFigures> measure_served(const Contender& contender, const Shape& shape, const std::string& model,
                                           int threads, const std::string& folder, double seconds_allowed,
                                           std::string* command);

// About `tokens` tokens of plain English words, different ones for each seed from the first word on.
std::string words_of(int tokens, uint64_t seed);

}  // namespace concerto::eval
