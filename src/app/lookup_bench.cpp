#include "app/lookup_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "app/terminal.h"
#include "app/verb.h"
#include "base/clock.h"
#include "cascade/prompt.h"

namespace concerto::app {
namespace {

struct Task {
  const char* name;
  const char* prompt;
};

constexpr std::array<Task, 3> kTasks = {{
    {"edit code",
     R"(Rename the variable `total` to `amount` in this file and change nothing else. Answer with the whole file.

```python
import json
from dataclasses import dataclass


@dataclass
class Line:
    name: str
    price: float
    count: int


class Invoice:
    def __init__(self, customer, currency="EUR"):
        self.customer = customer
        self.currency = currency
        self.lines = []

    def add(self, name, price, count=1):
        if count <= 0:
            raise ValueError("count must be positive")
        self.lines.append(Line(name, price, count))

    def sum(self, discount=0.0):
        total = 0.0
        for line in self.lines:
            total += line.price * line.count
        if discount > 0:
            total = total * (1 - discount)
        return round(total, 2)

    def to_json(self):
        total = self.sum()
        return json.dumps({
            "customer": self.customer,
            "currency": self.currency,
            "lines": [line.__dict__ for line in self.lines],
            "total": total,
        })
```)"},
    {"extract",
     R"(Copy every sentence of the text that names a date or an amount of money, word for word, one on a line.

The supply contract between Northgate Mills and the Harbour Cooperative was signed on 4 March 2019 in Rotterdam. Both
sides described the talks as friendly. Under its terms the mills deliver 1,200 tonnes of flour a year at a price of 410
euros a tonne. The price is reviewed every spring. A first advance of 60,000 euros was paid on 18 March 2019. The flour
is stored in the old customs house. In the autumn of 2020 a storm damaged the roof, and repairs cost 23,500 euros. The
insurers paid the whole sum on 2 February 2021. Since then the two companies have shared a warehouse manager. The
contract ends on 31 December 2024 unless it is renewed in writing by 30 September 2024. Neither side has said what it
plans to do. The cooperative's chairman told members that a new price of 455 euros a tonne would be acceptable.)"},
    {"chat", "Why is the sky blue at noon and red at sunset? Explain it to a curious child."},
}};

struct Answer {
  std::string bytes;  // ids, log-probabilities, margins, entropies
  int tokens = 0;
  double seconds = 0;  // from the first token to the last
  int drafted = 0;
  int accepted = 0;
  std::optional<base::Error> error;
};

Answer ask(engine::Engine& engine, const std::vector<int32_t>& prompt, int max_tokens, bool speculate) {
  Answer answer;
  std::mutex mutex;
  std::condition_variable changed;
  bool ended = false;
  int64_t first_ns = 0;
  int64_t last_ns = 0;
  const auto append = [&](const auto& value) {
    answer.bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  const auto sink = [&](engine::Event&& event) {
    const std::lock_guard lock(mutex);
    if (const auto* token = std::get_if<engine::TokenEvent>(&event)) {
      last_ns = base::system_clock().now_ns();
      if (answer.tokens++ == 0) first_ns = last_ns;
      append(token->id), append(token->logprob), append(token->margin), append(token->entropy);
    } else if (const auto* end = std::get_if<engine::FinishEvent>(&event)) {
      answer.drafted = end->drafted_tokens;
      answer.accepted = end->accepted_tokens;
      ended = true;
    } else if (auto* error = std::get_if<base::Error>(&event)) {
      answer.error = std::move(*error);
      ended = true;
    }
    changed.notify_all();
  };
  engine::Request request;
  request.prompt = prompt;
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  request.speculate = speculate;
  if (auto status = engine.submit(std::move(request), sink, {}); !status) {
    answer.error = std::move(status).error();
    return answer;
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return ended; });
  answer.seconds = static_cast<double>(last_ns - first_ns) / 1e9;
  return answer;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

}  // namespace

int bench_lookup(engine::Engine& engine, const LookupBench& options) {
  if (engine.chat_template() == nullptr) {
    print_error(
        fmt::format("bench --lookup: expected a model with a chat template, found {} without", engine.config().name));
    return kFailure;
  }
  const cascade::PromptBuilder prompts(*engine.chat_template(), engine.tokenizer());
  bool same = true;
  std::string text = fmt::format("{:<10} {:>7} {:>9} {:>9} {:>6}  {:<17} {}\n", "prompt", "tokens", "plain/s",
                                 "guessed/s", "ratio", "guesses (right)", "bytes");
  std::string json;
  for (const Task& task : kTasks) {
    cascade::ChatRequest chat;
    chat.messages.push_back({.role = "user", .content = task.prompt});
    const auto prompt = prompts.build(chat, 0);
    if (!prompt) {
      print_error(prompt.error());
      return kFailure;
    }
    std::vector<double> plain, guessed, ratios;
    Answer last;
    bool equal = true;
    for (int pair = 0; pair < options.pairs; ++pair) {
      // A B, B A, A B: a machine that drifts is fair to both.
      std::array<Answer, 2> answers;
      for (const bool speculate : {pair % 2 == 1, pair % 2 == 0}) {
        Answer& answer = answers.at(speculate ? 1 : 0);
        answer = ask(engine, prompt->ids, options.max_tokens, speculate);
        if (answer.error) {
          print_error(*answer.error);
          return kFailure;
        }
      }
      equal = equal && answers[0].bytes == answers[1].bytes;
      if (answers[0].tokens < 2 || answers[0].seconds <= 0 || answers[1].seconds <= 0) continue;
      plain.push_back((answers[0].tokens - 1) / answers[0].seconds);
      guessed.push_back((answers[1].tokens - 1) / answers[1].seconds);
      ratios.push_back(guessed.back() / plain.back());
      last = std::move(answers[1]);
    }
    if (ratios.empty()) {
      print_error(fmt::format("bench --lookup: {}: expected an answer of two tokens or more, found none", task.name));
      return kFailure;
    }
    same = same && equal;
    text += fmt::format("{:<10} {:>7} {:>9.1f} {:>9.1f} {:>6.2f}  {:<17} {}\n", task.name, last.tokens, median(plain),
                        median(guessed), median(ratios), fmt::format("{} ({})", last.drafted, last.accepted),
                        equal ? "the same" : "DIFFERENT");
    json += fmt::format(
        R"({}{{"prompt":"{}","tokens":{},"plain_tokens_per_s":{:.2f},"guessed_tokens_per_s":{:.2f},"ratio":{:.3f},)"
        R"("drafted":{},"accepted":{},"same_bytes":{}}})",
        json.empty() ? "" : ",", task.name, last.tokens, median(plain), median(guessed), median(ratios), last.drafted,
        last.accepted, equal);
  }
  if (!write_out(options.json ? fmt::format("[{}]\n", json) : text)) return kFailure;
  return same ? kOk : kFailure;
}

}  // namespace concerto::app
