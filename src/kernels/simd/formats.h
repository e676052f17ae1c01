// The weight types as the matrix product sees them: how a block's dot vectors are unpacked and how its scales apply.
// The layouts and the float order are in pack.h.
#pragma once

#include "kernels/pack.h"
#include "kernels/simd/matmul.h"

namespace concerto::kernels::simd {

// Low or high nibbles of a 64-byte vector, and the bits above them out of a plane.
template <class Isa>
struct Nibbles {
  using I = typename Isa::I;
  I fifteen = Isa::set_bytes(15);
  [[nodiscard]] CONCERTO_FORCE_INLINE I low(I v) const noexcept { return Isa::bit_and(v, fifteen); }
  [[nodiscard]] CONCERTO_FORCE_INLINE I high(I v) const noexcept {
    return Isa::bit_and(Isa::template shift<-4>(v), fifteen);
  }
};

// NT dot products of 8 columns: low = columns 0..3 behind q, high = columns 4..7.
template <class Isa, int NT>
CONCERTO_FORCE_INLINE void dot_tile(typename Isa::I low, typename Isa::I high, const int8_t* q, ptrdiff_t stride,
                                    typename Isa::I* sums) noexcept {
#pragma GCC unroll 16
  for (int t = 0; t < NT; ++t) sums[t] = Isa::dot_two(sums[t], low, high, q + t * stride);
}

// weighted += sums * scale
template <class Isa, int NT>
CONCERTO_FORCE_INLINE void weigh_one(const typename Isa::I* sums, typename Isa::I scale,
                                     typename Isa::I* weighted) noexcept {
#pragma GCC unroll 16
  for (int t = 0; t < NT; ++t) weighted[t] = Isa::add(weighted[t], Isa::mul(sums[t], scale));
}

// The same for two sub-blocks at once, whose sums fit 16 bits (Activations::wide) and whose scales are pairs: a 32-bit
// product takes the place of a dot product, shifting and blending do not.
template <class Isa, int NT>
CONCERTO_FORCE_INLINE void weigh_pair(const typename Isa::I* even, const typename Isa::I* odd, typename Isa::I scales,
                                      typename Isa::I* weighted) noexcept {
#pragma GCC unroll 16
  for (int t = 0; t < NT; ++t) weighted[t] = Isa::dot_halves(weighted[t], scales, Isa::pair(even[t], odd[t]));
}

// 32 columns of nibbles with kPlaneBits bits (0, 1 or 2) above them. Vector pair i of 4: columns 8i..8i+7.
template <class Isa, int NT, int kPlaneBits, int kPair>
CONCERTO_FORCE_INLINE void dot_nibbles(const std::byte* vectors, typename Isa::I plane, const int8_t* q,
                                       ptrdiff_t stride, typename Isa::I* sums) noexcept {
  using I = typename Isa::I;
  const Nibbles<Isa> nibbles;
  const I v = Isa::load(vectors + kPair * 64);
  I low = nibbles.low(v);
  I high = nibbles.high(v);
  if constexpr (kPlaneBits == 1) {
    const I mask = Isa::set_bytes(0x10);
    low = Isa::or_masked(low, Isa::template shift<4 - 2 * kPair>(plane), mask);
    high = Isa::or_masked(high, Isa::template shift<3 - 2 * kPair>(plane), mask);
  } else if constexpr (kPlaneBits == 2) {  // a plane holds 16 columns: pairs 0,1 of the first, 2,3 of the second
    const I mask = Isa::set_bytes(0x30);
    low = Isa::or_masked(low, Isa::template shift<4 - 4 * (kPair & 1)>(plane), mask);
    high = Isa::or_masked(high, Isa::template shift<2 - 4 * (kPair & 1)>(plane), mask);
  }
  dot_tile<Isa, NT>(low, high, q + kPair * 8, stride, sums);
}

// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0.
template <class Layout, int kOffsetShift>  // offset = 1 << kOffsetShift, for types without minima
struct Format32 {
  static constexpr bool kInt8 = true;
  static constexpr int kActivationBlock = 32;
  static constexpr size_t block_bytes(int n) noexcept { return Layout::bytes(n); }

  template <class Isa, int NT>
  CONCERTO_FORCE_INLINE static void block(const std::byte* b, int n, int part, const TileInputs& in,
                                          typename Isa::F* y) noexcept {
    using F = typename Isa::F;
    using I = typename Isa::I;
    constexpr bool kInit = !Layout::kHasMin && !(Layout::kHasBytes && Isa::kSignedBytes);
    const std::byte* lanes = b + part * (Isa::kLanes * 4);  // this half of every 64-byte vector
    const auto* d = reinterpret_cast<const uint16_t*>(b) + part * Isa::kLanes;
    const auto* m = reinterpret_cast<const uint16_t*>(b + Layout::min_offset(n)) + part * Isa::kLanes;
    const std::byte* planes = lanes + Layout::plane_offset(n);
    const std::byte* quants = lanes + Layout::quant_offset(n);
    for (int s = 0; s < n; ++s) {
      prefetch_share<NT, Layout::bytes(8) / 8, Layout::kHasPlane>(b, s);
      I sums[NT];
#pragma GCC unroll 16
      for (int t = 0; t < NT; ++t) {
        sums[t] = kInit ? Isa::template shift<kOffsetShift>(Isa::broadcast(in.neg_sums + t * in.sum_stride + s))
                        : Isa::zero();
      }
      const int8_t* q = in.q + s * 32;
      if constexpr (Layout::kHasBytes) {
#pragma GCC unroll 8
        for (int g = 0; g < 8; ++g) {
          const I w = Isa::load(quants + g * 64);
#pragma GCC unroll 16
          for (int t = 0; t < NT; ++t) sums[t] = Isa::dot_bytes(sums[t], w, q + t * in.q_stride + g * 4);
        }
      } else {
        constexpr int kPlaneBits = Layout::kHasPlane ? 1 : 0;
        const I plane = Layout::kHasPlane ? Isa::load(planes + s * 64) : Isa::zero();
        dot_nibbles<Isa, NT, kPlaneBits, 0>(quants, plane, q, in.q_stride, sums);
        dot_nibbles<Isa, NT, kPlaneBits, 1>(quants, plane, q, in.q_stride, sums);
        dot_nibbles<Isa, NT, kPlaneBits, 2>(quants, plane, q, in.q_stride, sums);
        dot_nibbles<Isa, NT, kPlaneBits, 3>(quants, plane, q, in.q_stride, sums);
      }
      const F scale = Isa::load_half(d + s * 16);
#pragma GCC unroll 16
      for (int t = 0; t < NT; ++t) {
        y[t] = Isa::fma(Isa::mul_broadcast(Isa::to_float(sums[t]), in.scales + t * in.blocks + s), scale, y[t]);
      }
      if constexpr (Layout::kHasMin) {
        const F min = Isa::load_half(m + s * 16);
#pragma GCC unroll 16
        for (int t = 0; t < NT; ++t) {
          y[t] = Isa::fma(min, Isa::broadcast_f(in.float_sums + t * in.sum_stride + s), y[t]);
        }
      }
      quants += Layout::kQuantBytes;
    }
  }
};

// Q4_K and Q5_K.
template <class Panel, int kPlaneBits>
struct FormatSuper {
  static constexpr bool kInt8 = true;
  static constexpr int kActivationBlock = kQuantBlock;
  static constexpr size_t block_bytes(int) noexcept { return sizeof(Panel); }

  // The dots of sub-block s.
  template <class Isa, int NT>
  CONCERTO_FORCE_INLINE static void dots(const Panel& p, int s, int part, const TileInputs& in,
                                         typename Isa::I* sums) noexcept {
    using I = typename Isa::I;
    const int first = part * Isa::kLanes * 4;
    I plane = Isa::zero();
    if constexpr (kPlaneBits == 1) plane = Isa::load(&p.plane[s][first]);
    const auto* vectors = reinterpret_cast<const std::byte*>(p.nibbles[s]) + first;
    const int8_t* q = in.q + s * 32;
    dot_nibbles<Isa, NT, kPlaneBits, 0>(vectors, plane, q, in.q_stride, sums);
    dot_nibbles<Isa, NT, kPlaneBits, 1>(vectors, plane, q, in.q_stride, sums);
    dot_nibbles<Isa, NT, kPlaneBits, 2>(vectors, plane, q, in.q_stride, sums);
    dot_nibbles<Isa, NT, kPlaneBits, 3>(vectors, plane, q, in.q_stride, sums);
  }

  // weighted += the dots of each sub-block times its scale.
  template <class Isa, int NT, bool kNarrow>
  CONCERTO_FORCE_INLINE static void weigh(const Panel& p, int part, const TileInputs& in,
                                          typename Isa::I* weighted) noexcept {
    using I = typename Isa::I;
    for (int pair = 0; pair < 4; ++pair) {
      prefetch_share<NT, sizeof(Panel) / 4, (kPlaneBits > 0)>(reinterpret_cast<const std::byte*>(&p), pair);
      const I scales = Isa::load_pairs_unsigned(p.scales[pair][part * Isa::kLanes]);
      I even[NT];
      I odd[NT];
#pragma GCC unroll 16
      for (int t = 0; t < NT; ++t) even[t] = odd[t] = Isa::zero();
      dots<Isa, NT>(p, 2 * pair, part, in, even);
      if constexpr (!kNarrow) weigh_one<Isa, NT>(even, Isa::even_of_pairs(scales), weighted);
      dots<Isa, NT>(p, 2 * pair + 1, part, in, odd);
      if constexpr (!kNarrow) weigh_one<Isa, NT>(odd, Isa::odd_of_pairs(scales), weighted);
      if constexpr (kNarrow) weigh_pair<Isa, NT>(even, odd, scales, weighted);
    }
  }

  template <class Isa, int NT>
  CONCERTO_FORCE_INLINE static void block(const std::byte* b, int, int part, const TileInputs& in,
                                          typename Isa::F* y) noexcept {
    using F = typename Isa::F;
    using I = typename Isa::I;
    const Panel& p = *reinterpret_cast<const Panel*>(b);
    const int first = part * Isa::kLanes;
    I weighted[NT];
#pragma GCC unroll 16
    for (int t = 0; t < NT; ++t) weighted[t] = Isa::zero();
    if (kPlaneBits == 0 && is_narrow<Isa, NT>(in)) {
      weigh<Isa, NT, (kPlaneBits == 0 && kMayBeNarrow<Isa, NT>)>(p, part, in, weighted);
    } else {
      weigh<Isa, NT, false>(p, part, in, weighted);
    }
    I mins[NT];
#pragma GCC unroll 16
    for (int t = 0; t < NT; ++t) mins[t] = Isa::zero();
#pragma GCC unroll 4
    for (int pair = 0; pair < 4; ++pair) {
      const I m = Isa::load_pairs_unsigned(p.mins[pair][first]);
#pragma GCC unroll 16
      for (int t = 0; t < NT; ++t) {
        mins[t] = Isa::dot_pairs(mins[t], m, in.sums + t * in.sum_stride + 2 * pair);
      }
    }
    const F d = Isa::load_half(p.d + first);
    const F dmin = Isa::load_half(p.dmin + first);
#pragma GCC unroll 16
    for (int t = 0; t < NT; ++t) {
      F a = Isa::mul_f(Isa::to_float(weighted[t]), d);
      a = Isa::fnma(Isa::to_float(mins[t]), dmin, a);
      y[t] = Isa::fma(a, Isa::broadcast_f(in.scales + t * in.blocks), y[t]);
    }
  }
};

struct FormatQ6K {
  static constexpr bool kInt8 = true;
  static constexpr int kActivationBlock = kQuantBlock;
  static constexpr size_t block_bytes(int) noexcept { return sizeof(PanelQ6K); }

  // The dots of 16 columns: half h of 32-column sub-block s.
  template <class Isa, int NT, int kHalf>
  CONCERTO_FORCE_INLINE static void dots(const PanelQ6K& p, int s, int part, const TileInputs& in,
                                         typename Isa::I* sums) noexcept {
    const int first = part * Isa::kLanes * 4;
    const typename Isa::I plane = Isa::load(&p.plane[2 * s + kHalf][first]);
    const auto* vectors = reinterpret_cast<const std::byte*>(p.nibbles[s]) + first;
    const int8_t* q = in.q + s * 32;
    dot_nibbles<Isa, NT, 2, 2 * kHalf>(vectors, plane, q, in.q_stride, sums);
    dot_nibbles<Isa, NT, 2, 2 * kHalf + 1>(vectors, plane, q, in.q_stride, sums);
  }

  // Sums start from -32 * sum of q: the offset of the quants.
  template <class Isa, int NT, bool kNarrow>
  CONCERTO_FORCE_INLINE static void weigh(const PanelQ6K& p, int part, const TileInputs& in,
                                          typename Isa::I* weighted) noexcept {
    using I = typename Isa::I;
    const ptrdiff_t stride = in.q_stride / 16;
    const int32_t* offsets = in.offsets16;
    for (int s = 0; s < 8; ++s) {
      prefetch_share<NT, sizeof(PanelQ6K) / 8, true>(reinterpret_cast<const std::byte*>(&p), s);
      const I scales = Isa::load_pairs_signed(p.scales[s][part * Isa::kLanes]);
      I even[NT];
      I odd[NT];
#pragma GCC unroll 16
      for (int t = 0; t < NT; ++t) even[t] = Isa::broadcast(offsets + t * stride);
      dots<Isa, NT, 0>(p, s, part, in, even);
      if constexpr (!kNarrow) weigh_one<Isa, NT>(even, Isa::even_of_pairs(scales), weighted);
#pragma GCC unroll 16
      for (int t = 0; t < NT; ++t) odd[t] = Isa::broadcast(offsets + t * stride + 1);
      dots<Isa, NT, 1>(p, s, part, in, odd);
      if constexpr (!kNarrow) weigh_one<Isa, NT>(odd, Isa::odd_of_pairs(scales), weighted);
      if constexpr (kNarrow) weigh_pair<Isa, NT>(even, odd, scales, weighted);
      offsets += 2;
    }
  }

  template <class Isa, int NT>
  CONCERTO_FORCE_INLINE static void block(const std::byte* b, int, int part, const TileInputs& in,
                                          typename Isa::F* y) noexcept {
    using F = typename Isa::F;
    const PanelQ6K& p = *reinterpret_cast<const PanelQ6K*>(b);
    typename Isa::I weighted[NT];
#pragma GCC unroll 16
    for (int t = 0; t < NT; ++t) weighted[t] = Isa::zero();
    if (is_narrow<Isa, NT>(in)) {
      weigh<Isa, NT, kMayBeNarrow<Isa, NT>>(p, part, in, weighted);
    } else {
      weigh<Isa, NT, false>(p, part, in, weighted);
    }
    const F d = Isa::load_f(p.d + part * Isa::kLanes);
#pragma GCC unroll 16
    for (int t = 0; t < NT; ++t) {
      const F a = Isa::mul_f(Isa::to_float(weighted[t]), d);
      y[t] = Isa::fma(a, Isa::broadcast_f(in.scales + t * in.blocks), y[t]);
    }
  }
};

// F32, F16, BF16: the unquantised activations, one fma chain a row.
template <base::TensorType kType>
struct FormatPlain {
  static constexpr bool kInt8 = false;
  static constexpr int kActivationBlock = kQuantBlock;  // its scales are not read
  static constexpr size_t kElement = kType == base::TensorType::kF32 ? 4 : 2;
  static constexpr size_t block_bytes(int n) noexcept { return static_cast<size_t>(n) * 32 * kPanelRows * kElement; }

  template <class Isa, int NT>
  CONCERTO_FORCE_INLINE static void block(const std::byte* b, int n, int part, const TileInputs& in,
                                          typename Isa::F* y) noexcept {
    using F = typename Isa::F;
    F a[NT];
#pragma GCC unroll 16
    for (int t = 0; t < NT; ++t) a[t] = Isa::zero_f();
    const std::byte* at = b + part * Isa::kLanes * kElement;
    for (int k = 0; k < n * 32; ++k) {
      F w;
      if constexpr (kType == base::TensorType::kF32) w = Isa::load_f(reinterpret_cast<const float*>(at));
      if constexpr (kType == base::TensorType::kF16) w = Isa::load_half(reinterpret_cast<const uint16_t*>(at));
      if constexpr (kType == base::TensorType::kBF16) w = Isa::load_bf16(reinterpret_cast<const uint16_t*>(at));
#pragma GCC unroll 16
      for (int t = 0; t < NT; ++t) a[t] = Isa::fma(w, Isa::broadcast_f(in.f32 + t * in.cols + k), a[t]);
      at += kPanelRows * kElement;
    }
#pragma GCC unroll 16
    for (int t = 0; t < NT; ++t) y[t] = Isa::add_f(y[t], a[t]);
  }
};

using FormatF32 = FormatPlain<base::TensorType::kF32>;
using FormatF16 = FormatPlain<base::TensorType::kF16>;
using FormatBF16 = FormatPlain<base::TensorType::kBF16>;
using FormatQ4_0 = Format32<LayoutQ4_0, 3>;
using FormatQ4_1 = Format32<LayoutQ4_1, 0>;
using FormatQ5_0 = Format32<LayoutQ5_0, 4>;
using FormatQ5_1 = Format32<LayoutQ5_1, 0>;
using FormatQ8_0 = Format32<LayoutQ8_0, 7>;
using FormatQ4_K = FormatSuper<PanelQ4K, 0>;
using FormatQ5_K = FormatSuper<PanelQ5K, 1>;
using FormatQ6_K = FormatQ6K;

}  // namespace concerto::kernels::simd
