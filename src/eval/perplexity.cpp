#include "eval/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <numeric>
#include <span>

#include "base/clock.h"
#include "engine/kv_pool.h"
#include "formats/gguf.h"

namespace concerto::eval {
namespace {

using base::Code;
using base::Result;

constexpr int kRows = 64;  // rows of logits per pass: bounds them to 64 V floats

// One chunk at a time through the model, in one sequence of blocks.
class ChunkScorer {
 public:
  ChunkScorer(model::Model& model, const kernels::KernelTable& table, base::ThreadPool& pool, engine::KvPool& kv)
      : model_(model), table_(table), pool_(pool), kv_(kv), blocks_(static_cast<size_t>(kv.blocks())) {
    std::iota(blocks_.begin(), blocks_.end(), 0);
    logits_.resize(size_t{kRows} * static_cast<size_t>(model.config().n_vocab));
  }

  // Appends ln p of tokens [first + 1, chunk.size()).
  void score(std::span<const int32_t> chunk, int first, std::vector<double>* logprobs) {
    forward(chunk, 0, first, false);
    const int end = static_cast<int>(chunk.size()) - 1;  // the last token predicts nothing that is scored
    for (int begin = first; begin < end; begin += kRows) {
      const int count = std::min(kRows, end - begin);
      forward(chunk, begin, begin + count, true);
      double row[kRows];
      const auto vocab = static_cast<size_t>(model_.config().n_vocab);
      pool_.parallel_for(count, 1, [&](int from, int to, int) {
        for (int i = from; i < to; ++i) {
          const float* logits = logits_.data() + static_cast<size_t>(i) * vocab;
          const int32_t next = chunk[static_cast<size_t>(begin) + static_cast<size_t>(i) + 1];
          row[i] = static_cast<double>(logits[next]) -
                   static_cast<double>(table_.log_sum_exp(logits, static_cast<int>(vocab)));
        }
      });
      logprobs->insert(logprobs->end(), row, row + count);
    }
  }

 private:
  void forward(std::span<const int32_t> chunk, int begin, int end, bool want_logits) {
    tokens_.clear();
    rows_.clear();
    for (int p = begin; p < end; ++p) {
      if (want_logits) rows_.push_back(p - begin);
      tokens_.push_back({chunk[static_cast<size_t>(p)], p, 0});
    }
    const std::span<const int32_t> table(blocks_);
    model_.forward({tokens_, {&table, 1}, rows_}, kv_.base(), logits_.data(), pool_);
  }

  model::Model& model_;
  const kernels::KernelTable& table_;
  base::ThreadPool& pool_;
  engine::KvPool& kv_;
  std::vector<int32_t> blocks_;
  std::vector<float> logits_;  // [kRows, V]
  std::vector<model::BatchToken> tokens_;
  std::vector<int32_t> rows_;
};

double perplexity_of(const std::vector<double>& logprobs) {
  return std::exp(-std::accumulate(logprobs.begin(), logprobs.end(), 0.0) / static_cast<double>(logprobs.size()));
}

// Standard error of exp(m) is exp(m) times that of the mean m (first order).
double standard_error_of(const std::vector<double>& logprobs, double value) {
  const auto n = static_cast<double>(logprobs.size());
  if (n < 2) return 0;
  const double mean = std::accumulate(logprobs.begin(), logprobs.end(), 0.0) / n;
  double squares = 0;
  for (const double v : logprobs) squares += (v - mean) * (v - mean);
  return value * std::sqrt(squares / (n - 1) / n);
}

Result<std::unique_ptr<text::Tokenizer>> load_tokenizer(const std::string& path) {
  if (std::filesystem::is_directory(path)) return text::Tokenizer::from_folder(path);
  TRY(const auto file, formats::Gguf::open(path));
  return text::Tokenizer::from_gguf(*file);
}

Result<std::string> read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return base::fail(Code::kNotFound, path + ": expected a text file, could not open it");
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (in.bad()) return base::fail(Code::kIo, path + ": could not be read to its end");
  return text;
}

}  // namespace

std::vector<int32_t> perplexity_tokens(const text::Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> tokens = tokenizer.encode(text, false);
  if (tokenizer.adds_bos()) tokens.insert(tokens.begin(), tokenizer.bos());
  return tokens;
}

Result<Perplexity> perplexity(model::Model& model, const kernels::KernelTable& table, base::ThreadPool& pool,
                              const text::Tokenizer& tokenizer, const std::vector<int32_t>& tokens,
                              const PerplexityOptions& options) {
  const int n_ctx = options.n_ctx;
  const model::ModelConfig& config = model.config();
  if (n_ctx < 8 || n_ctx > config.n_context) {
    return base::fail(Code::kInvalidArgument,
                      fmt::format("perplexity: ctx: expected 8 to {}, found {}", config.n_context, n_ctx), "ctx");
  }
  if (std::ssize(tokens) < 2 * n_ctx) {
    return base::fail(Code::kInvalidArgument,
                      fmt::format("perplexity: text: expected at least {} tokens (two chunks of {}), found {}",
                                  2 * n_ctx, n_ctx, tokens.size()),
                      "text");
  }
  for (const int32_t id : tokens) {
    if (id >= 0 && id < config.n_vocab) continue;
    return base::fail(Code::kInvalidArgument, fmt::format("perplexity: text: token {} is none of the {} of {}", id,
                                                          config.n_vocab, config.name));
  }
  const int blocks = (n_ctx + kernels::kKvBlockTokens - 1) / kernels::kKvBlockTokens;
  TRY(const auto kv, engine::KvPool::create(model.kv_layout(), blocks));
  ChunkScorer scorer(model, table, pool, *kv);
  int chunks = static_cast<int>(std::ssize(tokens) / n_ctx);
  if (options.max_chunks > 0) chunks = std::min(chunks, options.max_chunks);

  Perplexity result;
  result.tokens = static_cast<int>(tokens.size());
  std::vector<double> logprobs;
  const int64_t begin_ns = base::system_clock().now_ns();
  for (int c = 0; c < chunks; ++c) {
    const auto begin = tokens.begin() + static_cast<ptrdiff_t>(c) * n_ctx;
    std::vector<int32_t> chunk(begin, begin + n_ctx);
    if (tokenizer.adds_bos()) chunk[0] = tokenizer.bos();
    scorer.score(chunk, n_ctx / 2, &logprobs);
    result.after_chunk.push_back(perplexity_of(logprobs));
    if (!std::isfinite(result.after_chunk.back())) {
      return base::fail(Code::kCorrupt,
                        fmt::format("perplexity: model {}: chunk {}: expected finite logits, found NaN or "
                                    "infinity",
                                    config.name, c));
    }
    if (options.progress) options.progress(c + 1, chunks, result.after_chunk.back());
  }
  result.seconds = static_cast<double>(base::system_clock().now_ns() - begin_ns) * 1e-9;
  result.scored = static_cast<int>(logprobs.size());
  result.perplexity = result.after_chunk.back();
  result.standard_error = standard_error_of(logprobs, result.perplexity);
  return result;
}

Result<Perplexity> run_perplexity(const PerplexityJob& job) {
  TRY(const std::string text, read_text(job.text_path));
  const kernels::KernelTable* table = job.isa.empty() ? &kernels::best_table() : kernels::find_table(job.isa.c_str());
  if (table == nullptr) {
    return base::fail(Code::kUnsupported,
                      "isa: expected generic, avx2, avx512 or neon, as far as this processor runs "
                      "it; found " +
                          job.isa,
                      "isa");
  }
  base::ThreadPool pool(job.threads);
  TRY(const auto tokenizer, load_tokenizer(job.model_path));
  model::LoadOptions load;
  load.table = table;
  TRY(const auto model, model::Model::load(job.model_path, pool, load));
  return perplexity(*model, *table, pool, *tokenizer, perplexity_tokens(*tokenizer, text), job.options);
}

}  // namespace concerto::eval
