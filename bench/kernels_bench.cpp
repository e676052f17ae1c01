// Speed of the kernel table: kernels_bench [isa] [matmul|stream|attention|vector|pack]...
//   matmul     MAC a cycle of one core by weight type and tokens a pass, weights in cache
//   stream     two threads over weights that no cache holds: GMAC/s and GB/s by tokens a pass
//   attention  GFLOP/s of one core for prefill and decode shapes
//   vector     the element-wise functions, ns a call
//   pack       repacking file rows into panels, GB/s of one core
// With the ceilings probed in the same run. Minima over repeats: the machine may be shared.
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "eval/bench/probes.h"
#include "kernels/kernels.h"

namespace concerto::bench {
namespace {

using base::TensorType;
using eval::best_seconds;
using eval::rate_of_threads;
using kernels::Activations;
using kernels::KernelTable;

constexpr size_t kHugePage = 2UL << 20;

struct Free {
  void operator()(std::byte* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<std::byte, Free>;
Buffer buffer(size_t bytes) {
  Buffer b(static_cast<std::byte*>(std::aligned_alloc(kHugePage, (bytes + kHugePage) / kHugePage * kHugePage)));
#if defined(MADV_HUGEPAGE)
  (void)madvise(b.get(), bytes, MADV_HUGEPAGE);
#endif
  std::memset(b.get(), 0x11, (bytes + 127) / 64 * 64);
  return b;
}

std::vector<float> floats(size_t n) {
  std::mt19937 rng(1);
  std::normal_distribution<float> normal;
  std::vector<float> out(n);
  for (auto& v : out) v = normal(rng);
  return out;
}

struct Inputs {
  std::vector<float> f32;
  Buffer storage;
  Activations x;
  Inputs(const KernelTable& k, int tokens, int cols, int block)
      : f32(floats(static_cast<size_t>(tokens) * static_cast<size_t>(cols))),
        storage(buffer(Activations::bytes(tokens, cols, block))),
        x(Activations::bind(storage.get(), f32.data(), tokens, cols, block)) {
    k.quantize(x, 0, tokens);
  }
};

constexpr TensorType kTypes[] = {TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K, TensorType::kQ4_0,
                                 TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1, TensorType::kQ8_0,
                                 TensorType::kBF16, TensorType::kF16,  TensorType::kF32};

void bench_matmul(const KernelTable& k, double hz, int cols, int rows) {
  const int token_counts[] = {1, 2, 3, 4, 5, 8, 16, 64, 512};
  std::printf("\nMAC/cycle of one core, %d x %d in cache, table %s\n%-6s", rows, cols, k.name, "T");
  for (const int t : token_counts) std::printf("%7d", t);
  std::printf("\n");
  for (const TensorType type : kTypes) {
    const size_t bytes = kernels::packed_bytes(type, rows, cols);
    const Buffer w = buffer(bytes);
    const kernels::PackedMatrix m{type, rows, cols, w.get(), bytes};
    std::printf("%-6s", std::string(base::geometry(type).name).c_str());
    for (const int t : token_counts) {
      const Inputs in(k, t, cols, kernels::activation_block(type));
      std::vector<float> out(static_cast<size_t>(t) * static_cast<size_t>(rows));
      const int inner = std::max(1, 32 / t);
      const double s = best_seconds(t >= 64 ? 5 : 15, [&] {
        for (int i = 0; i < inner; ++i) k.matmul(m, in.x, 0, m.panels(), out.data(), rows);
      });
      std::printf("%7.1f", static_cast<double>(t) * rows * cols * inner / (s * hz));
    }
    std::printf("\n");
  }
}

void bench_stream(const KernelTable& k, int threads) {
  const int cols = 1536;
  std::printf("\n%d threads, weights from memory, table %s: GMAC/s (GB/s)\n", threads, k.name);
  for (const TensorType type : {TensorType::kQ4_K, TensorType::kQ6_K, TensorType::kQ8_0}) {
    const int rows =
        static_cast<int>(400e6 / static_cast<double>(kernels::packed_bytes(type, 16, cols)) * 16) / 32 * 32;
    const size_t bytes = kernels::packed_bytes(type, rows, cols);
    const Buffer w = buffer(bytes);
    const kernels::PackedMatrix m{type, rows, cols, w.get(), bytes};
    std::printf("%-6s", std::string(base::geometry(type).name).c_str());
    for (const int t : {1, 2, 5, 8, 16, 64}) {
      const Inputs in(k, t, cols, kernels::activation_block(type));
      std::vector<float> out(static_cast<size_t>(t) * static_cast<size_t>(rows));
      double best = 0;
      for (int pass = 0; pass < 4; ++pass) {
        const int part = m.panels() / threads;
        best = std::max(best, rate_of_threads(threads, static_cast<double>(rows) / threads * cols, [&](int thread) {
                          k.matmul(m, in.x, thread * part, (thread + 1) * part, out.data(), rows);
                        }));
      }
      std::printf("  T%d %.0f (%.1f)", t, best * t * 1e-9,
                  best * static_cast<double>(bytes) / (static_cast<double>(rows) * cols) * 1e-9);
    }
    std::printf("\n");
  }
}

void bench_attention(const KernelTable& k, double hz) {
  struct Shape {
    const char* name;
    int dims, group, queries, context;
  };
  std::printf("\nAttention of one kv head on one core, table %s\n", k.name);
  for (const Shape s :
       {Shape{"prefill 512, K 128, group 6", 128, 6, 512, 512},
        Shape{"chunk 128 at 4096, K 128, group 6", 128, 6, 128, 4096},
        Shape{"decode at 4096, K 128, group 6", 128, 6, 1, 4096}, Shape{"prefill 512, K 64, group 7", 64, 7, 512, 512},
        Shape{"prefill 512, K 64, group 3", 64, 3, 512, 512}}) {
    const kernels::KvLayout layout{1, 1, s.dims};
    const int blocks = s.context / kernels::kKvBlockTokens + 1;
    const Buffer pool = buffer(static_cast<size_t>(blocks) * layout.block_bytes());
    auto* kv = reinterpret_cast<uint16_t*>(pool.get());
    std::vector<int32_t> table(blocks);
    const auto values = floats(static_cast<size_t>(s.dims) * 2);
    for (int p = 0; p < s.context; ++p) {
      table[p / 64] = p / 64;
      uint16_t* b = kv + static_cast<size_t>(p / 64) * layout.block_values();
      k.store_kv(values.data(), values.data() + p % s.dims, s.dims, p % 64, b, b + layout.v_offset(0, 0));
    }
    const auto q = floats(static_cast<size_t>(s.queries) * s.group * s.dims);
    std::vector<float> out(q.size());
    const ptrdiff_t stride = static_cast<ptrdiff_t>(s.group) * s.dims;
    const kernels::AttentionJob job{q.data(),
                                    stride,
                                    out.data(),
                                    stride,
                                    s.queries,
                                    s.group,
                                    s.dims,
                                    s.context - s.queries,
                                    0.1F,
                                    kv,
                                    layout.block_values(),
                                    layout.k_offset(0, 0),
                                    layout.v_offset(0, 0),
                                    table.data()};
    const double seconds = best_seconds(s.queries == 1 ? 200 : 8, [&] { k.attention(job); });
    const double seen = static_cast<double>(s.queries) * (s.context - (s.queries - 1) / 2.0);
    const double macs = seen * s.group * s.dims * 2;
    std::printf("  %-36s %7.1f GFLOP/s  %5.1f MAC/cycle\n", s.name, 2 * macs / seconds * 1e-9, macs / (seconds * hz));
  }
}

// Nanoseconds of one call: the clock costs half a microsecond, so a measure is 64 calls.
void report(const char* name, int values, const std::function<void()>& call) {
  constexpr int kCalls = 64;
  const double seconds = best_seconds(30,
                                      [&] {
                                        for (int i = 0; i < kCalls; ++i) call();
                                      }) /
                         kCalls;
  std::printf("  %-22s %8.0f ns, %.2f ns per 16 values\n", name, seconds * 1e9, seconds * 1e9 / values * 16);
}

void bench_vector(const KernelTable& k) {
  const int n = 8960;
  const auto a = floats(n);
  const auto b = floats(n);
  std::vector<float> out(n);
  std::printf("\nVector functions of %d values, table %s\n", n, k.name);
  report("rms_norm", n, [&] { k.rms_norm(a.data(), b.data(), 1e-6F, n, out.data()); });
  report("silu_mul", n, [&] { k.silu_mul(a.data(), b.data(), n, out.data()); });
  report("add", n, [&] { k.add(out.data(), b.data(), n); });
  report("log_sum_exp", n, [&] { out[0] = k.log_sum_exp(a.data(), n); });
  for (const int block : {kernels::kQuantBlock, kernels::kSumBlock}) {
    const Inputs in(k, 1, n, block);
    report(block == kernels::kSumBlock ? "quantize per 32" : "quantize per 256", n, [&] { k.quantize(in.x, 0, 1); });
  }
  report("rope (70 heads of 128)", n, [&] { k.rope(out.data(), a.data(), b.data(), 70, 128, true); });
  std::vector<uint16_t> tiles(128 * 128);
  report("store_kv (K 128)", 256, [&] { k.store_kv(a.data(), b.data(), 128, 5, tiles.data(), tiles.data() + 8192); });
}

void bench_pack() {
  const int cols = 1536;
  const int rows = 1024;
  std::printf("\nPacking, GB/s of file bytes on one core\n ");
  for (const TensorType type : kTypes) {
    const auto& g = base::geometry(type);
    const size_t file_bytes = static_cast<size_t>(rows) * cols / g.block_weights * g.block_bytes;
    const Buffer file = buffer(file_bytes);
    const Buffer out = buffer(kernels::packed_bytes(type, rows, cols));
    const double s = best_seconds(20, [&] { kernels::pack(type, rows, cols, file.get(), 0, rows / 16, out.get()); });
    std::printf(" %s %.2f", std::string(g.name).c_str(), static_cast<double>(file_bytes) / s * 1e-9);
  }
  std::printf("\n");
}

}  // namespace
}  // namespace concerto::bench

int main(int argc, char** argv) {
  using namespace concerto;  // NOLINT: a program
  const kernels::KernelTable* table = &kernels::best_table();
  int first = 1;
  if (argc > 1 && kernels::find_table(argv[1]) != nullptr) {
    table = kernels::find_table(argv[1]);
    first = 2;
  }
  const auto wanted = [&](const char* what) {
    if (first >= argc) return true;
    return std::any_of(argv + first, argv + argc, [&](const char* a) { return std::strcmp(a, what) == 0; });
  };
  const double hz = eval::core_hz();
  std::printf("core clock %.2f GHz, int8 peak %.1f MAC/cycle, DRAM read %.1f GB/s (1 thread), %.1f GB/s (2)\n",
              hz * 1e-9, eval::int8_peak_per_cycle(hz), eval::dram_read_rate(1, 512UL << 20) * 1e-9,
              eval::dram_read_rate(2, 512UL << 20) * 1e-9);
  if (wanted("matmul")) {
    bench::bench_matmul(*table, hz, 1536, 256);
    if (first < argc && wanted("wide")) bench::bench_matmul(*table, hz, 8960, 64);
  }
  if (wanted("stream")) {
    for (const int threads : {1, 2}) bench::bench_stream(*table, threads);
  }
  if (wanted("attention")) bench::bench_attention(*table, hz);
  if (wanted("vector")) bench::bench_vector(*table);
  if (wanted("pack")) bench::bench_pack();
  return 0;
}
