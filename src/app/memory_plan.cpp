#include "app/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "app/terminal.h"

namespace concerto::app {
namespace {

namespace fs = std::filesystem;

// The program, its threads, tokenizers, requests being parsed: a server with one model holds 50 to 80 MB beside the
// engine.
constexpr size_t kProcess = size_t{96} << 20;
// A pass with its logits: 70 MB for the 1.5B, 110 MB for the 7B.
constexpr size_t kWorking = size_t{128} << 20;
// Without a declared budget a tenth of the free memory stays free: other programs, the file cache.
constexpr double kDefaultShare = 0.9;

}  // namespace

size_t expected_weight_bytes(const std::string& model, const std::string& quantize) {
  std::error_code error;
  if (!fs::is_directory(model, error)) {
    const auto size = fs::file_size(model, error);
    return error ? 0 : static_cast<size_t>(size);
  }
  double bytes = 0;
  for (const auto& entry : fs::directory_iterator(model, error)) {
    if (entry.path().extension() == ".safetensors") bytes += static_cast<double>(entry.file_size(error));
  }
  // From 16 bits a weight.
  if (quantize == "q8_0") bytes *= 8.5 / 16;
  if (quantize == "q4_k") bytes *= 4.7 / 16;
  return static_cast<size_t>(bytes);
}

base::Result<MemoryPlan> MemoryPlan::make(const Config& config, size_t available) {
  MemoryPlan plan;
  size_t needed = kProcess;
  std::string models;
  for (const TierConfig& tier : config.tiers) {
    if (tier.kind != TierKind::kLocal) continue;
    size_t weights = expected_weight_bytes(tier.model, tier.quantize);
    if (!tier.draft.empty()) weights += expected_weight_bytes(tier.draft, tier.quantize);
    plan.expected_.push_back(weights + kWorking);
    needed += weights;
    models += fmt::format("{}{} {}", models.empty() ? "" : ", ", tier.name, format_bytes(static_cast<double>(weights)));
  }
  const bool declared = config.server.memory_mb > 0;
  plan.total_ = declared ? static_cast<size_t>(config.server.memory_mb) << 20
                         : static_cast<size_t>(static_cast<double>(available) * kDefaultShare);
  if (plan.total_ == 0) return plan;
  if (needed > plan.total_ && !plan.expected_.empty()) {
    return base::fail(
        base::Code::kOutOfMemory,
        fmt::format("memory: expected at least {} for the weights ({}) and the program, found {} of {}; "
                    "take smaller models, or fewer of them",
                    format_bytes(static_cast<double>(needed)), models, declared ? "a budget" : "free memory",
                    format_bytes(static_cast<double>(plan.total_))));
  }
  plan.left_ = plan.total_ > kProcess ? plan.total_ - kProcess : 0;
  return plan;
}

size_t MemoryPlan::next() const {
  if (total_ == 0 || expected_.empty()) return 0;
  size_t all = 0;
  for (const size_t one : expected_) all += one;
  const size_t over = left_ > all ? left_ - all : 0;
  // Never 0, which would mean "unknown".
  return std::max<size_t>(1, std::min(left_, expected_.front() + over / expected_.size()));
}

void MemoryPlan::took(size_t bytes) {
  left_ -= std::min(left_, bytes);
  if (!expected_.empty()) expected_.erase(expected_.begin());
}

}  // namespace concerto::app
