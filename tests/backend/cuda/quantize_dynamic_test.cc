// quantize_dynamic on the device: scales and codes bit-equal to the rule of docs/numerics.md.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/quantize/quantize_dynamic.h"

#include "backend/cuda/device_call.h"

namespace octavo::testing {
namespace {

struct Made {
  Tensor scale, codes;
};

// What the CPU makes (backend/cpu/quantize_dynamic.cc), element by element.
Made expected(const Tensor& x, const QuantizeParams& params) {
  const int64_t rows = x.shape()[0], columns = x.shape()[1];
  const int64_t group = params.group == 0 ? std::max<int64_t>(columns, 1) : params.group;
  const int64_t groups = (columns + group - 1) / group;
  Made made = {Tensor(DType::kF32, {rows, groups}), Tensor(DType::kE4M3, x.shape())};
  for (int64_t part = 0; part < rows * groups; ++part) {
    const int64_t first = part / groups * columns + part % groups * group;
    const int64_t end = std::min((part / groups + 1) * columns, first + group);
    const auto clamped = [&](int64_t i) {
      const float value = element(x.view(), i);
      const float low = value < params.clamp_low ? params.clamp_low : value;
      return low > params.clamp_high ? params.clamp_high : low;
    };
    float amax = 0.0f;
    for (int64_t i = first; i < end; ++i) amax = std::fmax(amax, std::fabs(clamped(i)));
    const float scale = safe_scale(amax);
    made.scale.as<float>()[part] = scale;
    for (int64_t i = first; i < end; ++i)
      made.codes.as<e4m3>()[i] = quantize(clamped(i), inverse_scale(scale));
  }
  return made;
}

void check(const Tensor& x, const QuantizeParams& params, int64_t pitch = 0) {
  const Made right = expected(x, params);
  const Made made = {Tensor(DType::kF32, right.scale.shape()), Tensor(DType::kE4M3, x.shape())};
  DeviceCall call;
  call.pitch(pitch).params(params).in(x).out(made.scale).out(made.codes);
  call.run("cuda_quantize_dynamic");
  const auto what = fmt::format("{} by {}, pitch {}", to_string(x.shape()), params.group, pitch);
  expect_same_bytes(made.scale, right.scale, what + ": scales");
  expect_same_bytes(made.codes, right.codes, what + ": codes");
}

// What amax leaves out, what it clamps, and what has no amax.
void plant(const Tensor& x) {
  const float special[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1e-30f, 3e38f, -3e38f, -NAN};
  const int64_t columns = x.shape()[1];
  for (int64_t i = 0; i < std::min<int64_t>(std::ssize(special), x.shape().elements()); ++i)
    set_element(x.view(), i, special[i]);
  for (int64_t i = 0; i < columns && x.shape()[0] > 2; ++i) {
    set_element(x.view(), columns + i, i % 2 == 0 ? 0.0f : -0.0f);
    set_element(x.view(), 2 * columns + i, NAN);
  }
}

struct Case {
  DType type;
  int64_t rows, columns, group, pitch;
};

class QuantizeDynamic : public ::testing::TestWithParam<Case> {};

TEST_P(QuantizeDynamic, BytesOfTheRule) {
  OCTAVO_REQUIRE_DEVICE();
  const Case& c = GetParam();
  Values values(static_cast<uint32_t>(c.columns + c.group));
  const Tensor x = values.normal(c.type, {c.rows, c.columns}, 3.0f);
  check(x, {.group = c.group}, c.pitch);
  check(x, {.group = c.group, .clamp_low = -1.5f, .clamp_high = 2.0f}, c.pitch);
  plant(x);
  check(x, {.group = c.group}, c.pitch);
  check(x, {.group = c.group, .clamp_low = -1.5f, .clamp_high = 2.0f}, c.pitch);
}

// Every way to hold a row, groups that end within a warp and within a block, and what none of
// these takes: odd widths and places, groups of another size, rows that no block holds.
INSTANTIATE_TEST_SUITE_P(
    Grid, QuantizeDynamic,
    ::testing::Values(Case{DType::kBF16, 1, 1, 0, 0}, Case{DType::kBF16, 5, 8, 0, 0},
                      Case{DType::kBF16, 33, 1000, 0, 8}, Case{DType::kBF16, 7, 2048, 0, 0},
                      Case{DType::kBF16, 4, 4096, 0, 0}, Case{DType::kBF16, 3, 14336, 0, 0},
                      Case{DType::kBF16, 4, 32768, 0, 0}, Case{DType::kBF16, 3, 32776, 0, 0},
                      Case{DType::kF32, 6, 4096, 0, 0}, Case{DType::kF32, 3, 33, 0, 1},
                      Case{DType::kF32, 3, 28672, 0, 0}, Case{DType::kBF16, 4, 8, 128, 0},
                      Case{DType::kBF16, 3, 128, 128, 0}, Case{DType::kBF16, 33, 1048, 128, 0},
                      Case{DType::kBF16, 5, 4096, 128, 64}, Case{DType::kBF16, 300, 14336, 128, 0},
                      Case{DType::kF32, 4, 1040, 128, 0}, Case{DType::kBF16, 4, 300, 128, 0},
                      Case{DType::kBF16, 4, 301, 128, 3}, Case{DType::kBF16, 4, 1024, 64, 0},
                      Case{DType::kF32, 4, 1000, 1000, 0}, Case{DType::kBF16, 0, 256, 128, 0},
                      Case{DType::kBF16, 0, 256, 0, 0}));

// A row's codes do not depend on the rows beside it, nor on their number.
TEST(QuantizeDynamicRows, AreIndependent) {
  OCTAVO_REQUIRE_DEVICE();
  Values values(3);
  const Tensor x = values.normal(DType::kBF16, {700, 4096});
  for (const int64_t group : {0, 128}) check(x, {.group = group});
}

TEST(QuantizeDynamicLayout, HoldsEveryRowThatFits) {
  for (int columns = 8; columns <= 40000; columns += 8) {
    const cuda::RowLayout layout = cuda::row_layout(columns);
    const int64_t held = int64_t{layout.threads} * layout.held * cuda::kDynamicWidth;
    EXPECT_EQ(layout.threads % 32, 0) << columns;
    EXPECT_LE(layout.threads, cuda::kMaxRowThreads) << columns;
    EXPECT_LE(layout.held, cuda::kMaxRowHeld) << columns;
    EXPECT_EQ(layout.fits, held >= columns) << columns;
  }
}

}  // namespace
}  // namespace octavo::testing
