// Weights::load: find and check every tensor first; then map what was packed before, or allocate once and pack matrix
// by matrix on all threads.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "model/digest.h"
#include "model/sidecar.h"
#include "model/weights.h"
#include "quant/registry.h"

namespace concerto::model {

using base::Code;
using base::Result;
using base::Status;
using base::TensorType;
using formats::TensorInfo;
using kernels::PackedMatrix;

namespace {

constexpr size_t kAlignment = 64;
constexpr int kPanelsPerStep = 4;
constexpr size_t kSlabBytes = size_t{8} << 20;  // of the source

bool is_float(TensorType type) noexcept {
  return type == TensorType::kF32 || type == TensorType::kF16 || type == TensorType::kBF16;
}

std::string layer_name(std::string_view pattern, int layer) {
  std::string name(pattern);
  if (const size_t at = name.find("{}"); at != std::string::npos) name.replace(at, 2, std::to_string(layer));
  return name;
}

size_t row_bytes(TensorType type, int cols) noexcept {
  const auto& geometry = base::geometry(type);
  return static_cast<size_t>(cols) / geometry.block_weights * geometry.block_bytes;
}

}  // namespace

class WeightLoader {
 public:
  WeightLoader(std::unique_ptr<formats::TensorFile> file, const ModelConfig& config, const TensorNames& names,
               base::ThreadPool& pool, const WeightOptions& options)
      : file_(std::move(file)),
        config_(config),
        names_(names),
        pool_(pool),
        options_(options),
        weights_(new Weights),
        digest_(config) {}

  Result<std::unique_ptr<Weights>> load() {
    TRY_STATUS(check_target());
    TRY_STATUS(plan());
    place_vectors();
    digest_matrices();
    weights_->hash_ = digest_.finish();
    lay_out();
    if (!map_packed()) {
      TRY(weights_->arena_, Arena::allocate(packed_bytes_, file_->path()));
      place_matrices(weights_->arena_.data());
      pack_matrices();
      if (options_.sidecar == SidecarUse::kWrite)
        TRY_STATUS(write_sidecar(options_.sidecar_path, key(), {weights_->arena_.data(), packed_bytes_}));
    }
    if (embedding_ != nullptr) {
      weights_->embedding_ = embedding_;
      weights_->file_ = std::move(file_);
    }
    return std::move(weights_);
  }

 private:
  struct Matrix {
    std::string role;
    const TensorInfo* source;
    PackedMatrix* packed;  // type, rows and cols set by plan(), bytes by lay_out(), data by place_matrices()
    size_t offset = 0;
  };
  struct Vector {
    std::string role;
    const TensorInfo* source;
    const float** target;
  };

  [[nodiscard]] tl::unexpected<base::Error> error(Code code, std::string_view tensor, const std::string& text) const {
    return base::fail(code, fmt::format("{}: {}: {}", file_->path(), tensor, text), std::string(tensor));
  }

  Status check_target() const {
    if (!options_.quantize_to) return {};
    const TensorType type = *options_.quantize_to;
    const auto& name = base::geometry(type).name;
    if (is_float(type) || quant::codec(type).encode == nullptr)
      return base::fail(Code::kUnsupported,
                        fmt::format("quantise while loading: expected a type this build can write, found {}", name));
    return {};
  }

  Result<const TensorInfo*> find(std::string_view name, const std::vector<uint64_t>& shape) const {
    const auto* tensor = file_->find(name);
    if (tensor == nullptr) return error(Code::kCorrupt, name, "expected in the file, found nothing");
    if (tensor->shape != shape)
      return error(Code::kCorrupt, name,
                   fmt::format("expected [{}], found [{}]", fmt::join(shape, ", "), fmt::join(tensor->shape, ", ")));
    return tensor;
  }

  // The type `source` gets in memory. The head decides the words, so it keeps 6 bits or more, as in published files.
  Result<TensorType> target_type(const TensorInfo& source, int cols, bool head) {
    if (!options_.quantize_to || !is_float(source.type)) return source.type;
    TensorType wanted = *options_.quantize_to;
    const bool k_type = wanted == TensorType::kQ4_K || wanted == TensorType::kQ5_K;
    if (head && k_type && quant::codec(TensorType::kQ6_K).encode != nullptr) wanted = TensorType::kQ6_K;
    const auto fitting = fitting_type(wanted, cols);
    if (!fitting || quant::codec(*fitting).encode == nullptr)
      return error(Code::kUnsupported, source.name,
                   fmt::format("quantise to {}: expected rows of a multiple of {} weights, found {}",
                               base::geometry(wanted).name, base::geometry(wanted).block_weights, cols));
    if (*fitting != wanted) ++fallbacks_[{wanted, *fitting}];
    return *fitting;
  }

  Status add_matrix(std::string role, std::string_view name, int rows, int cols, PackedMatrix* out) {
    TRY(const TensorInfo* source, find(name, {static_cast<uint64_t>(rows), static_cast<uint64_t>(cols)}));
    TRY(out->type, target_type(*source, cols, out == &weights_->head_));
    out->rows = rows;
    out->cols = cols;
    matrices_.push_back({std::move(role), source, out});
    return {};
  }

  Status add_vector(std::string role, std::string_view name, int size, const float** out) {
    TRY(const TensorInfo* source, find(name, {static_cast<uint64_t>(size)}));
    if (!is_float(source->type))
      return error(Code::kUnsupported, name,
                   fmt::format("expected F32, F16 or BF16, found {}", base::geometry(source->type).name));
    vectors_.push_back({std::move(role), source, out});
    return {};
  }

  Status plan_layer(int l) {
    const auto& c = config_;
    auto& w = weights_->layers_[static_cast<size_t>(l)];
    const int q_rows = c.n_heads * c.head_dim;
    const int kv_rows = c.n_kv_heads * c.head_dim;
    const auto matrix = [&](std::string_view role, std::string_view pattern, int rows, int cols, PackedMatrix* out) {
      return add_matrix(fmt::format("{}.{}", l, role), layer_name(pattern, l), rows, cols, out);
    };
    const auto vector = [&](std::string_view role, std::string_view pattern, int size, const float** out) {
      return add_vector(fmt::format("{}.{}", l, role), layer_name(pattern, l), size, out);
    };
    TRY_STATUS(vector("attn_norm", names_.attn_norm, c.n_embd, &w.attn_norm));
    TRY_STATUS(matrix("q", names_.q, q_rows, c.n_embd, &w.q));
    TRY_STATUS(matrix("k", names_.k, kv_rows, c.n_embd, &w.k));
    TRY_STATUS(matrix("v", names_.v, kv_rows, c.n_embd, &w.v));
    if (c.qkv_bias) {
      TRY_STATUS(vector("q_bias", names_.q_bias, q_rows, &w.q_bias));
      TRY_STATUS(vector("k_bias", names_.k_bias, kv_rows, &w.k_bias));
      TRY_STATUS(vector("v_bias", names_.v_bias, kv_rows, &w.v_bias));
    }
    TRY_STATUS(matrix("o", names_.o, c.n_embd, q_rows, &w.o));
    TRY_STATUS(vector("ffn_norm", names_.ffn_norm, c.n_embd, &w.ffn_norm));
    TRY_STATUS(matrix("gate", names_.gate, c.n_ff, c.n_embd, &w.gate));
    TRY_STATUS(matrix("up", names_.up, c.n_ff, c.n_embd, &w.up));
    return matrix("down", names_.down, c.n_embd, c.n_ff, &w.down);
  }

  Status plan() {
    const auto& c = config_;
    // Layers are only believed once the last one is there, so that a false count costs nothing.
    const std::string last = layer_name(names_.attn_norm, c.n_layers - 1);
    if (file_->find(last) == nullptr)
      return error(Code::kCorrupt, last, fmt::format("expected in the file ({} layers), found nothing", c.n_layers));
    weights_->layers_.resize(static_cast<size_t>(c.n_layers));
    const std::string_view head = c.tied_head ? names_.embedding : names_.head;
    if (!c.tied_head) {
      TRY(embedding_, find(names_.embedding, {static_cast<uint64_t>(c.n_vocab), static_cast<uint64_t>(c.n_embd)}));
      digest_.add("embedding", *embedding_, embedding_->type);
    }
    for (int l = 0; l < c.n_layers; ++l) TRY_STATUS(plan_layer(l));
    TRY_STATUS(add_vector("final_norm", names_.final_norm, c.n_embd, &weights_->final_norm_));
    TRY_STATUS(add_matrix("head", head, c.n_vocab, c.n_embd, &weights_->head_));
    for (const auto& [types, count] : fallbacks_)
      base::log(base::LogLevel::kInfo, "{}: {} matrices have rows that don't fit {}; quantised to {}", file_->path(),
                count, base::geometry(types.first).name, base::geometry(types.second).name);
    return {};
  }

  void digest_matrices() {
    for (const auto& matrix : matrices_) {
      digest_.add(matrix.role, *matrix.source, matrix.packed->type);
      file_->release(matrix.source->bytes);
    }
    if (embedding_ != nullptr) file_->release(embedding_->bytes);
  }

  void lay_out() {
    for (auto& matrix : matrices_) {
      auto& packed = *matrix.packed;
      packed.bytes = kernels::packed_bytes(packed.type, packed.rows, packed.cols);
      matrix.offset = packed_bytes_;
      packed_bytes_ += (packed.bytes + kAlignment - 1) / kAlignment * kAlignment;
    }
    weights_->bytes_ += packed_bytes_;
  }

  void place_matrices(const std::byte* arena) {
    for (const auto& matrix : matrices_) matrix.packed->data = arena + matrix.offset;
  }

  [[nodiscard]] SidecarKey key() const { return {weights_->hash_, layout_fingerprint(), packed_bytes_}; }

  // False: there is none, or none that fits, which is told; the weights are then packed from the model's own file.
  bool map_packed() {
    if (options_.sidecar != SidecarUse::kRead) return false;
    auto mapped = map_sidecar(options_.sidecar_path, key());
    if (!mapped) {
      if (mapped.error().code != Code::kNotFound)
        base::log(base::LogLevel::kWarn, "{}; packing the weights anew (`concerto pack` makes a new file)",
                  mapped.error().message);
      return false;
    }
    weights_->sidecar_ = std::move(*mapped);
    place_matrices(sidecar_arena(*weights_->sidecar_).data());
    if (options_.progress) options_.progress(1);
    return true;
  }

  void place_vectors() {
    size_t count = 0;
    for (const auto& vector : vectors_) count += vector.source->shape[0];
    weights_->floats_.resize(count);
    weights_->bytes_ += count * sizeof(float);
    float* at = weights_->floats_.data();
    for (const auto& vector : vectors_) {
      const size_t size = vector.source->shape[0];
      quant::codec(vector.source->type).decode(vector.source->bytes.data(), at, size);
      *vector.target = at;
      at += size;
      digest_.add(vector.role, *vector.source, TensorType::kF32);
    }
  }

  void pack_matrices() {
    size_t done = 0;
    for (auto& matrix : matrices_) {
      pack(matrix);
      file_->release(matrix.source->bytes);
      done += matrix.packed->bytes;
      if (options_.progress) options_.progress(static_cast<double>(done) / static_cast<double>(weights_->bytes_));
    }
    if (options_.progress) options_.progress(1);
  }

  // By slabs whose source pages are dropped at once: a large head never stands in memory twice.
  void pack(const Matrix& matrix) {
    const auto& packed = *matrix.packed;
    const size_t source_row = row_bytes(matrix.source->type, packed.cols);
    const auto panels = static_cast<int>(std::max(kSlabBytes / (source_row * kernels::kPanelRows), size_t{1}));
    for (int first = 0; first < packed.panels(); first += panels) {
      const int last = std::min(first + panels, packed.panels());
      pool_.parallel_for(last - first, kPanelsPerStep,
                         [&](int begin, int end, int) { pack_panels(matrix, first + begin, first + end); });
      const size_t from = static_cast<size_t>(first) * kernels::kPanelRows * source_row;
      const size_t to =
          std::min(static_cast<size_t>(last) * kernels::kPanelRows * source_row, matrix.source->bytes.size());
      file_->release(matrix.source->bytes.subspan(from, to - from));
    }
  }

  static void pack_panels(const Matrix& matrix, int begin, int end) {
    const auto& packed = *matrix.packed;
    auto* out = const_cast<std::byte*>(packed.data);
    const std::byte* rows = matrix.source->bytes.data();
    if (packed.type == matrix.source->type) {
      kernels::pack(packed.type, packed.rows, packed.cols, rows, begin, end, out);
      return;
    }
    // Quantise panel by panel: decoded and encoded rows never exist for more than a panel per thread.
    const size_t panel_bytes = packed.bytes / static_cast<size_t>(packed.panels());
    std::vector<float> row(static_cast<size_t>(packed.cols));
    std::vector<std::byte> encoded(row_bytes(packed.type, packed.cols) * kernels::kPanelRows);
    for (int panel = begin; panel < end; ++panel) {
      const int first = panel * kernels::kPanelRows;
      const int count = std::min(kernels::kPanelRows, packed.rows - first);
      for (int r = 0; r < count; ++r) quantise_row(matrix, rows, first + r, row, encoded.data(), r);
      kernels::pack(packed.type, count, packed.cols, encoded.data(), 0, 1,
                    out + static_cast<size_t>(panel) * panel_bytes);
    }
  }

  static void quantise_row(const Matrix& matrix, const std::byte* rows, int source_row, std::vector<float>& row,
                           std::byte* encoded, int r) {
    const auto& packed = *matrix.packed;
    const auto cols = static_cast<size_t>(packed.cols);
    const std::byte* source = rows + static_cast<size_t>(source_row) * row_bytes(matrix.source->type, packed.cols);
    quant::codec(matrix.source->type).decode(source, row.data(), cols);
    quant::codec(packed.type)
        .encode(row.data(), encoded + static_cast<size_t>(r) * row_bytes(packed.type, packed.cols),
                cols / base::geometry(packed.type).block_weights);
  }

  std::unique_ptr<formats::TensorFile> file_;
  const ModelConfig& config_;
  const TensorNames& names_;
  base::ThreadPool& pool_;
  const WeightOptions& options_;
  std::unique_ptr<Weights> weights_;
  WeightDigest digest_;
  std::vector<Matrix> matrices_;
  std::vector<Vector> vectors_;
  size_t packed_bytes_ = 0;
  std::map<std::pair<TensorType, TensorType>, int> fallbacks_;
  const TensorInfo* embedding_ = nullptr;
};

Result<std::unique_ptr<Weights>> Weights::load(std::unique_ptr<formats::TensorFile> file, const ModelConfig& config,
                                               const TensorNames& names, base::ThreadPool& pool,
                                               const WeightOptions& options) {
  return WeightLoader(std::move(file), config, names, pool, options).load();
}

}  // namespace concerto::model
