#include "model/angles.h"

#include <bit>
#include <cstddef>
#include <cstdint>

namespace concerto::model {
namespace {

// pi/2 in three parts: n times one of the first two (27 significant bits each) is exact for n < 2^26.
constexpr double kHalfPi1 = 0x1.921fb54p+0;
constexpr double kHalfPi2 = 0x1.10b461p-30;
constexpr double kHalfPi3 = 0x1.a62633145c06ep-58;
constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;

constexpr double kLn2High = 0x1.62e42feep-1;  // 32 bits: exact times any exponent
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;

constexpr double floor_of(double x) noexcept {  // |x| < 2^62
  const double whole = static_cast<double>(static_cast<int64_t>(x));
  return whole > x ? whole - 1 : whole;
}

// Taylor sums on |r| <= pi/4: the first term left out is below 1e-20.
double sin_small(double r) noexcept {
  const double square = r * r;
  double sum = 1;
  for (int n = 19; n >= 3; n -= 2) sum = 1 - square / static_cast<double>(n * (n - 1)) * sum;
  return r * sum;
}

double cos_small(double r) noexcept {
  const double square = r * r;
  double sum = 1;
  for (int n = 20; n >= 2; n -= 2) sum = 1 - square / static_cast<double>(n * (n - 1)) * sum;
  return sum;
}

}  // namespace

void sin_cos(double x, double* sin, double* cos) noexcept {
  const double quarter = floor_of(x * kTwoOverPi + 0.5);
  const double r = ((x - quarter * kHalfPi1) - quarter * kHalfPi2) - quarter * kHalfPi3;
  const double s = sin_small(r);
  const double c = cos_small(r);
  switch (static_cast<int64_t>(quarter) & 3) {
    case 0:
      *sin = s, *cos = c;
      break;
    case 1:
      *sin = c, *cos = -s;
      break;
    case 2:
      *sin = -s, *cos = -c;
      break;
    default:
      *sin = -c, *cos = s;
      break;
  }
}

double natural_log(double x) noexcept {
  const auto bits = std::bit_cast<uint64_t>(x);
  auto exponent = static_cast<int>(bits >> 52) - 1023;
  double mantissa = std::bit_cast<double>((bits & 0x000fffffffffffffULL) | 0x3ff0000000000000ULL);  // [1, 2)
  if (mantissa > 1.4142135623730951) {
    mantissa *= 0.5;
    ++exponent;
  }
  // log m = 2 atanh((m - 1) / (m + 1)); |s| <= 0.172, so s^26 ends the series.
  const double s = (mantissa - 1) / (mantissa + 1);
  const double square = s * s;
  double sum = 0;
  for (int n = 25; n >= 1; n -= 2) sum = sum * square + 1 / static_cast<double>(n);
  return exponent * kLn2High + (2 * s * sum + exponent * kLn2Low);
}

double exponential(double x) noexcept {
  const double power = floor_of(x / (kLn2High + kLn2Low) + 0.5);
  const double r = (x - power * kLn2High) - power * kLn2Low;  // |r| <= 0.35
  double sum = 1;
  for (int n = 18; n >= 1; --n) sum = 1 + r / static_cast<double>(n) * sum;
  return sum * std::bit_cast<double>(static_cast<uint64_t>(static_cast<int64_t>(power) + 1023) << 52);
}

std::vector<double> rope_frequencies(double base, int head_dim) {
  std::vector<double> frequencies(static_cast<size_t>(head_dim) / 2);
  const double log_base = natural_log(base);
  for (size_t i = 0; i < frequencies.size(); ++i)
    frequencies[i] = exponential(-(static_cast<double>(2 * i) / head_dim) * log_base);
  return frequencies;
}

void rope_angles(const std::vector<double>& frequencies, int position, float* cos, float* sin) noexcept {
  for (size_t i = 0; i < frequencies.size(); ++i) {
    double s = 0;
    double c = 0;
    sin_cos(position * frequencies[i], &s, &c);
    cos[i] = static_cast<float>(c);
    sin[i] = static_cast<float>(s);
  }
}

}  // namespace concerto::model
