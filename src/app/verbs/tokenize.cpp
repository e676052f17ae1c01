// concerto tokenize: the ids of a text, as a model reads it.
#include <fmt/format.h>

#include <iostream>
#include <iterator>
#include <memory>

#include "app/model_path.h"
#include "app/terminal.h"
#include "app/verb.h"
#include "base/utf8.h"

namespace concerto::app {
namespace {

struct Arguments {
  std::string model;
  std::optional<std::string> text;
  bool pieces = false;
  bool special = false;
  bool count = false;
};

std::string printable(std::string_view bytes) {
  std::string out;
  for (const char c : base::utf8_replace_invalid(bytes)) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out;
}

int run(const Arguments& arguments) {
  const auto path = find_model(arguments.model);
  if (!path) {
    print_error(path.error());
    return kFailure;
  }
  const auto tokenizer = open_tokenizer(*path);
  if (!tokenizer) {
    print_error(tokenizer.error());
    return kFailure;
  }
  std::string text;
  if (arguments.text) {
    text = *arguments.text;
  } else {
    std::cin >> std::noskipws;
    text.assign(std::istream_iterator<char>(std::cin), {});
  }
  const auto ids = (*tokenizer)->encode(text, arguments.special);
  std::string out;
  if (arguments.count) {
    out = fmt::format("{}\n", ids.size());
  } else if (arguments.pieces) {
    for (const int32_t id : ids) out += fmt::format("{:>7} {}\n", id, printable((*tokenizer)->token_bytes(id)));
  } else {
    out = fmt::format("[{}]\n", fmt::join(ids, ", "));
  }
  return write_out(out) ? kOk : kFailure;
}

}  // namespace

Verb tokenize_verb() {
  const auto arguments = std::make_shared<Arguments>();
  return {"tokenize", "Print the token ids of a text",
          [arguments](Flags& flags) {
            flags.required("MODEL", &arguments->model, "a .gguf file, a Hugging Face folder or a model's name")
                .optional("TEXT", &arguments->text, "the text (default: standard input)")
                .flag("--pieces", &arguments->pieces, "one token a line, with its text")
                .flag("--special", &arguments->special, "read <|im_start|> and the like as special tokens")
                .flag("--count", &arguments->count, "only how many")
                .footer(
                    "  concerto tokenize qwen2.5-coder-0.5b-instruct-q4_k_m '你好，世界' --pieces\n"
                    "  wc -c < notes.txt; concerto tokenize model.gguf --count < notes.txt");
          },
          [arguments] { return run(*arguments); }};
}

}  // namespace concerto::app
