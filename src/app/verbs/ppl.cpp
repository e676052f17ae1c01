// concerto ppl: the perplexity of a text, by llama-perplexity's method, so that the figures compare.
#include <fmt/format.h>

#include <memory>

#include "app/model_path.h"
#include "app/terminal.h"
#include "app/verb.h"
#include "eval/perplexity.h"

namespace concerto::app {
namespace {

struct Arguments {
  std::string model;
  std::string file;
  int context = 512;
  int chunks = 0;
  std::optional<int> threads;
  std::string isa;
  bool json = false;
};

int run(const Arguments& a) {
  const auto path = find_model(a.model);
  if (!path) {
    print_error(path.error());
    return kFailure;
  }
  eval::PerplexityJob job;
  job.model_path = *path;
  job.text_path = a.file;
  job.threads = a.threads.value_or(0);
  job.isa = a.isa;
  job.options.n_ctx = a.context;
  job.options.max_chunks = a.chunks;
  const bool shows = colours_on_stderr();
  if (shows) {
    job.options.progress = [](int done, int total, double perplexity) {
      fmt::print(stderr, "\r{} of {} chunks, {:.4f} so far\x1b[K", done, total, perplexity);
    };
  }
  const auto result = eval::run_perplexity(job);
  if (shows) fmt::print(stderr, "\r\x1b[K");
  if (!result) {
    print_error(result.error());
    return kFailure;
  }
  const auto text =
      a.json ? fmt::format(R"({{"perplexity":{:.6f},"standard_error":{:.6f},"tokens":{},"scored":{},"chunks":{},)"
                           R"("ctx":{},"seconds":{:.2f}}})"
                           "\n",
                           result->perplexity, result->standard_error, result->tokens, result->scored,
                           result->after_chunk.size(), a.context, result->seconds)
             : fmt::format("perplexity {:.4f} +/- {:.4f} ({} chunks of {}, {} tokens scored, {:.1f} s)\n",
                           result->perplexity, result->standard_error, result->after_chunk.size(), a.context,
                           result->scored, result->seconds);
  return write_out(text) ? kOk : kFailure;
}

}  // namespace

Verb ppl_verb() {
  const auto a = std::make_shared<Arguments>();
  return {"ppl", "Measure the perplexity of a text",
          [a](Flags& flags) {
            flags.needed("-m,--model", &a->model, "MODEL", "a .gguf file, a Hugging Face folder or a model's name")
                .needed("-f,--file", &a->file, "FILE", "the text, UTF-8")
                .integer("--ctx", &a->context, 8, 1 << 20, "tokens of a chunk; the second half of each is scored")
                .integer("--chunks", &a->chunks, 0, 1 << 30, "only so many; 0: all")
                .integer("-t,--threads", &a->threads, 1, 1024, "threads (default: all cores)")
                .choice("--isa", &a->isa, {"generic", "avx2", "avx512", "neon"}, "force a kernel table")
                .flag("--json", &a->json, "one line of JSON")
                .footer("The method is llama-perplexity's: the figures can be compared with its.");
          },
          [a] { return run(*a); }};
}

}  // namespace concerto::app
