#include "model/model.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "formats/gguf.h"
#include "formats/hf_config.h"
#include "formats/printable.h"
#include "formats/safetensors.h"
#include "model/angles.h"
#include "model/arch/registry.h"
#include "model/folder_config.h"
#include "model/forward_pass.h"
#include "model/gguf_config.h"
#include "model/weights.h"
#include "model/workspace.h"

namespace concerto::model {
namespace {

using base::Code;
using base::Result;

class DecoderModel final : public Model {
 public:
  DecoderModel(ModelConfig config, std::unique_ptr<Weights> weights, const kernels::KernelTable& table, int workers)
      : config_(std::move(config)),
        weights_(std::move(weights)),
        table_(table),
        frequencies_(rope_frequencies(config_.rope_base, config_.head_dim)),
        workers_(workers) {}

  [[nodiscard]] const ModelConfig& config() const override { return config_; }
  [[nodiscard]] kernels::KvLayout kv_layout() const override {
    return {.layers = config_.n_layers, .kv_heads = config_.n_kv_heads, .head_dim = config_.head_dim};
  }
  [[nodiscard]] size_t weight_bytes() const override { return weights_->bytes(); }
  [[nodiscard]] const std::string& hash() const override { return weights_->hash(); }
  [[nodiscard]] size_t workspace_bytes(int tokens, int) const override {
    return Workspace::bytes_for(config_, tokens, workers_);
  }

  void forward(const Batch& batch, uint16_t* kv, float* logits, base::ThreadPool& pool) override {
    if (batch.tokens.empty()) return;
    workspace_.reserve(config_, static_cast<int>(batch.tokens.size()), pool.size());
    ForwardPass({config_, *weights_, table_, frequencies_}, batch, kv, pool, workspace_).run(logits);
  }

 private:
  ModelConfig config_;
  std::unique_ptr<Weights> weights_;
  const kernels::KernelTable& table_;
  std::vector<double> frequencies_;
  int workers_;
  Workspace workspace_;
};

// What loading needs to know of a model, whatever it is stored as.
struct Source {
  ModelConfig config;
  const TensorNames* names = nullptr;
  std::unique_ptr<formats::TensorFile> file;
};

Result<Source> open_gguf(const std::string& path) {
  TRY(auto file, formats::Gguf::open(path));
  TRY(const auto* architecture, architecture_of(*file));
  TRY(auto config, config_from_gguf(*file, *architecture));
  return Source{std::move(config), &architecture->gguf, std::move(file)};
}

Result<Source> open_folder(const std::string& path) {
  const auto config_path = (std::filesystem::path(path) / "config.json").string();
  TRY(const auto settings, formats::read_hf_config(config_path));
  const auto* architecture = find_architecture(settings.model_type);
  if (architecture == nullptr)
    return base::fail(Code::kUnsupported, fmt::format("{}: model_type: expected one of {}, found {}", config_path,
                                                      architecture_names(), formats::printable(settings.model_type)));
  TRY(auto file, formats::Safetensors::open(path));
  TRY(auto config, config_from_folder(path, settings, *file, *architecture));
  return Source{std::move(config), &architecture->folder, std::move(file)};
}

}  // namespace

Result<std::unique_ptr<Model>> Model::load(const std::string& path, base::ThreadPool& pool,
                                           const LoadOptions& options) {
  const auto& table = options.table != nullptr ? *options.table : kernels::best_table();
  const WeightOptions weight_options{.quantize_to = options.quantize_to,
                                     .progress = options.progress,
                                     .sidecar = options.sidecar,
                                     .sidecar_path = sidecar_path(path, options.quantize_to)};
  std::error_code ignored;
  TRY(auto source, std::filesystem::is_directory(path, ignored) ? open_folder(path) : open_gguf(path));
  TRY(auto weights, Weights::load(std::move(source.file), source.config, *source.names, pool, weight_options));
  return std::make_unique<DecoderModel>(std::move(source.config), std::move(weights), table, pool.size());
}

}  // namespace concerto::model
