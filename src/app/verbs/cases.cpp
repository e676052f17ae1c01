// concerto cases: the desk in the terminal. Works on the store itself, beside a running server or without one.
#include "desk/cases.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <memory>

#include "app/config.h"
#include "app/terminal.h"
#include "app/verb.h"
#include "base/utf8.h"
#include "desk/case_json.h"
#include "store/store.h"

namespace concerto::app {
namespace {

struct Arguments {
  Overrides overrides;
  std::optional<std::string> id;
  std::optional<std::string> answer;
  std::optional<std::string> by;
  bool all = false;
};

constexpr int kMostListed = 1000;
constexpr size_t kShownCharacters = 60;

// One line of at most kShownCharacters characters; nothing in it can steer the terminal.
std::string in_one_line(std::string_view text) {
  std::string out;
  size_t at = 0;
  for (size_t n = 0; at < text.size() && n < kShownCharacters; ++n) {
    const char32_t c = base::utf8_next(text, &at);
    base::utf8_append(&out, c < 0x20 || (c >= 0x7F && c < 0xA0) ? U' ' : c);
  }
  return at < text.size() ? out + "..." : out;
}

// The same for a text of several lines.
std::string printable(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = base::utf8_next(text, &at);
    base::utf8_append(&out, c != U'\n' && (c < 0x20 || (c >= 0x7F && c < 0xA0)) ? U' ' : c);
  }
  return out;
}

std::string time_of(int64_t ms) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::localtime(static_cast<std::time_t>(ms / 1000)));
}

std::string describe(const store::CaseRecord& one) {
  std::string out = fmt::format("{}  {}  {}\n", one.id, store::state_name(one.state), time_of(one.created_ms));
  out += fmt::format("label     {}\nreason    {}\nquestion  {}\n\nconversation\n{}\n\nwhat the models wrote\n{}\n",
                     one.label, printable(one.reason), printable(one.question),
                     printable(desk::indented(one.messages_json)), printable(desk::indented(one.drafts_json)));
  if (one.answered_ms) {
    out += fmt::format("\nanswer of {}, {}\n{}\n", printable(one.answered_by), time_of(*one.answered_ms),
                       printable(one.answer));
  }
  return out;
}

int fail_with(const base::Error& error) {
  print_error(error);
  return kFailure;
}

int list(store::Store* store, bool all) {
  store::CaseQuery query;
  query.limit = kMostListed;
  if (!all) query.state = store::CaseState::kOpen;
  const auto rows = store->list_cases(query);
  if (!rows) return fail_with(rows.error());
  for (const auto& one : *rows) {
    if (!write_out(fmt::format("{}  {}  {:<8}  {:<16}  {}\n", one.id, time_of(one.created_ms),
                               store::state_name(one.state), in_one_line(one.reason), in_one_line(one.question)))) {
      return kFailure;
    }
  }
  if (rows->empty()) print_note(all ? "no case" : "no open case");
  return kOk;
}

int run(const Arguments& a) {
  if (a.answer && !a.id) {
    print_error("cases: expected the id of the case to answer\nTry: concerto cases --help");
    return kUsage;
  }
  if (a.answer && a.answer->empty()) {
    print_error("--answer: expected a text, found an empty one");
    return kUsage;
  }
  const auto config = load_config(a.overrides);
  if (!config) return fail_with(config.error());
  auto store = store::open_sqlite({config->store_path});
  if (!store) return fail_with(store.error());
  if (!a.id) return list(store->get(), a.all);
  desk::Cases cases(store->get());
  const auto one = a.answer ? cases.answer(*a.id, *a.answer, a.by.value_or("")) : cases.find(*a.id);
  if (!one) return fail_with(one.error());
  return write_out(describe(*one)) ? kOk : kFailure;
}

}  // namespace

Verb cases_verb() {
  const auto a = std::make_shared<Arguments>();
  return {"cases", "List, read and answer what no model could",
          [a](Flags& flags) {
            flags.optional("ID", &a->id, "a case to read; without it the open ones are listed, oldest first")
                .text("--answer", &a->answer, "TEXT", "answer it (once: the first answer stays)")
                .text("--by", &a->by, "NAME", "who answers (default: desk)")
                .flag("--all", &a->all, "list answered ones too")
                .text("-c,--config", &a->overrides.config, "FILE", "the configuration (default: as serve)")
                .footer(
                    "  concerto cases\n"
                    "  concerto cases case_ipe6xoo6lpdzbr5nna5z --answer '今天下午发货。' --by 小李");
          },
          [a] { return run(*a); }};
}

}  // namespace concerto::app
