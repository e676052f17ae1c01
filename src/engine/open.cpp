// Engine::open: everything an engine is made of, from a file or a folder.
#include <filesystem>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "engine/draft_vocabulary.h"
#include "engine/engine.h"
#include "engine/generation_defaults.h"
#include "formats/gguf.h"
#include "kernels/kernels.h"
#include "text/model_template.h"

namespace concerto::engine {
namespace {

using base::Code;
using base::Result;

// What a model brings beside its weights.
struct Texts {
  std::unique_ptr<text::Tokenizer> tokenizer;
  std::unique_ptr<text::ChatTemplate> chat_template;
  SamplingParams sampling;
};

// A model without a template can still complete texts; one whose template is broken is an error.
Result<std::unique_ptr<text::ChatTemplate>> if_there(Result<std::unique_ptr<text::ChatTemplate>> loaded) {
  if (!loaded && loaded.error().code == Code::kUnsupported) return nullptr;
  return loaded;
}

Result<Texts> load_texts(const std::string& path) {
  Texts texts;
  if (std::filesystem::is_directory(path)) {
    TRY(texts.tokenizer, text::Tokenizer::from_folder(path));
    TRY(texts.chat_template, if_there(text::load_chat_template(path, *texts.tokenizer)));
    TRY(texts.sampling, folder_defaults(path));
  } else {
    TRY(const auto file, formats::Gguf::open(path));
    TRY(texts.tokenizer, text::Tokenizer::from_gguf(*file));
    TRY(texts.chat_template, if_there(text::load_chat_template(*file, *texts.tokenizer)));
  }
  return texts;
}

Result<const kernels::KernelTable*> choose_table(const std::string& isa) {
  if (isa.empty()) return &kernels::best_table();
  if (const auto* table = kernels::find_table(isa.c_str())) return table;
  return base::fail(Code::kUnsupported,
                    "isa: expected generic, avx2, avx512 or neon, as far as this processor runs it; found " + isa,
                    "isa");
}

Result<std::unique_ptr<model::Model>> load_draft(const EngineOptions& options, const text::Tokenizer& target,
                                                 base::ThreadPool& pool, const model::LoadOptions& load) {
  std::error_code ignored;
  if (!std::filesystem::exists(options.draft_path, ignored)) {
    return base::fail(Code::kNotFound,
                      options.draft_path + ": expected a .gguf file or a model folder as draft, found nothing",
                      "draft");
  }
  TRY(const auto texts, load_texts(options.draft_path));
  TRY_STATUS(same_vocabulary(target, options.model_path, *texts.tokenizer, options.draft_path));
  return model::Model::load(options.draft_path, pool, load);
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::open(const EngineOptions& options) {
  const int64_t begin_ns = base::system_clock().now_ns();
  std::error_code ignored;
  if (!std::filesystem::exists(options.model_path, ignored)) {
    return base::fail(Code::kNotFound, options.model_path + ": expected a .gguf file or a model folder, found nothing");
  }
  EngineParts parts;
  TRY(parts.table, choose_table(options.isa));
  model::LoadOptions load;
  load.table = parts.table;
  load.progress = options.progress;
  load.sidecar = options.sidecar ? model::SidecarUse::kRead : model::SidecarUse::kIgnore;
  if (!options.quantize.empty()) {
    TRY(load.quantize_to, quantize_type(options.quantize));
  }
  parts.pool = std::make_unique<base::ThreadPool>(options.threads);

  // Reading the vocabulary takes a good part of what packing the weights takes: side by side.
  Result<Texts> texts = base::fail(Code::kInternal, "not loaded");
  std::thread reader([&] { texts = load_texts(options.model_path); });
  auto model = model::Model::load(options.model_path, *parts.pool, load);
  reader.join();
  if (!model) return tl::make_unexpected(std::move(model).error());
  if (!texts) return tl::make_unexpected(std::move(texts).error());
  if (!options.draft_path.empty()) {
    load.progress = nullptr;
    TRY(parts.draft, load_draft(options, *texts->tokenizer, *parts.pool, load));
  }
  parts.model = std::move(*model);
  parts.tokenizer = std::move(texts->tokenizer);
  parts.chat_template = std::move(texts->chat_template);
  parts.default_sampling = std::move(texts->sampling);
  parts.load_ms = static_cast<double>(base::system_clock().now_ns() - begin_ns) * 1e-6;
  return assemble(std::move(parts), options);
}

}  // namespace concerto::engine
