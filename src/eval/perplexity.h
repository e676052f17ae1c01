// Perplexity of a text as llama.cpp's llama-perplexity defines it, so that the two figures can be compared.
//
// The text's tokens are cut into chunks of n_ctx without overlap (a rest is left out). In each chunk the tokens up to
// n_ctx / 2 are context only; those after it, up to the last, are scored given all before them in the chunk. A model
// that begins texts with BOS gets it as the first token of every chunk, in place of the one there.
// Perplexity = exp(mean of -ln p over all scored tokens). Same bits whatever the threads, batch and instruction set.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace concerto::eval {

struct PerplexityOptions {
  int n_ctx = 512;
  int max_chunks = 0;  // 0: all
  // After each chunk: chunks done, chunks in all, perplexity so far. May be empty.
  std::function<void(int done, int total, double perplexity)> progress;
};

struct Perplexity {
  double perplexity = 0;
  double standard_error = 0;  // of the perplexity, from the spread of -ln p over the tokens
  int tokens = 0;             // of the whole text
  int scored = 0;
  std::vector<double> after_chunk;  // perplexity of the first i + 1 chunks
  double seconds = 0;               // forward passes and scoring
};

// The text's tokens as the model would begin a prompt with them.
std::vector<int32_t> perplexity_tokens(const text::Tokenizer& tokenizer, std::string_view text);

// kInvalidArgument: n_ctx out of [8, trained context], or fewer tokens than two chunks (as llama-perplexity demands).
base::Result<Perplexity> perplexity(model::Model& model, const kernels::KernelTable& table, base::ThreadPool& pool,
                                    const text::Tokenizer& tokenizer, const std::vector<int32_t>& tokens,
                                    const PerplexityOptions& options);

struct PerplexityJob {
  std::string model_path;  // .gguf or Hugging Face folder
  std::string text_path;
  int threads = 0;  // 0: all cores
  std::string isa;  // force a kernel table, empty: best
  PerplexityOptions options;
};

// Loads the model and the text, then perplexity().
base::Result<Perplexity> run_perplexity(const PerplexityJob& job);

}  // namespace concerto::eval
