// Add, SwiGLU and quantize on the device: encoders bit-equal to the codec.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/pointwise/pointwise.h"

#include "backend/cuda/device_call.h"

namespace octavo::testing {
namespace {

void expect_codes(const Tensor& x, float scale) {
  Tensor codes(DType::kE4M3, x.shape());
  DeviceCall call;
  call.in(x).in(scalar(scale)).out(codes).run("cuda_quantize");
  Tensor expected(DType::kE4M3, x.shape());
  const float inverse = inverse_scale(scale);
  for (int64_t i = 0; i < x.shape().elements(); ++i)
    expected.as<e4m3>()[i] = quantize(element(x.view(), i), inverse);
  expect_same_bytes(codes, expected, "codes");
}

TEST(Quantize, EveryBf16IsBitEqual) {
  OCTAVO_REQUIRE_DEVICE();
  Tensor x(DType::kBF16, {256, 256});
  for (int i = 0; i < 65536; ++i) x.as<uint16_t>()[i] = static_cast<uint16_t>(i);
  for (const float scale : {1.0f, 0.0173f, 3.7e-38f, 1e30f}) expect_codes(x, scale);
}

TEST(Quantize, RandomFloatsAndTiesAreBitEqual) {
  OCTAVO_REQUIRE_DEVICE();
  Values values(7);
  Tensor x(DType::kF32, {1024, 1024});
  for (int64_t i = 0; i < x.shape().elements(); ++i) x.as<uint32_t>()[i] = values.engine()();
  // Every code, every midpoint between neighbours, and their neighbours in fp32.
  int64_t at = 0;
  for (int code = 0; code < 256; ++code) {
    const float value = to_float(e4m3{static_cast<uint8_t>(code)});
    const float next = to_float(e4m3{static_cast<uint8_t>(code + 1)});
    for (const float base : {value, 0.5f * (value + next)}) {
      x.as<float>()[at++] = base;
      x.as<float>()[at++] = std::nextafter(base, 1e9f);
      x.as<float>()[at++] = std::nextafter(base, -1e9f);
    }
  }
  expect_codes(x, 1.0f);
}

TEST(Quantize, OddWidthsAndStrides) {
  OCTAVO_REQUIRE_DEVICE();
  Values values(8);
  for (const int64_t width : {1, 7, 31, 32, 33, 129}) {
    for (const int64_t rows : {1, 3, 33})
      expect_codes(values.normal(DType::kBF16, {rows, width}), 0.01f);
  }
}

TEST(Quantize, NoRows) {
  OCTAVO_REQUIRE_DEVICE();
  expect_codes(Tensor(DType::kBF16, {0, 64}), 1.0f);
}

struct Case {
  DType dtype;
  int64_t rows, columns, pitch;
};

class Pointwise : public ::testing::TestWithParam<Case> {};

TEST_P(Pointwise, Add) {
  OCTAVO_REQUIRE_DEVICE();
  const auto& [dtype, rows, columns, pitch] = GetParam();
  Values values(1);
  const Tensor a = values.normal(dtype, {rows, columns});
  const Tensor b = values.normal(dtype, {rows, columns});
  Tensor y(dtype, a.shape());
  DeviceCall call;
  call.pitch(pitch).in(a).in(b).out(y).run("cuda_add");
  Tensor expected(dtype, a.shape());  // one rounding of an exact fp32 sum of 16-bit values
  for (int64_t i = 0; i < rows * columns; ++i)
    set_element(expected.view(), i, element(a.view(), i) + element(b.view(), i));
  expect_same_bytes(y, expected, "sum");
}

TEST_P(Pointwise, SwigluAndItsCodes) {
  OCTAVO_REQUIRE_DEVICE();
  const auto& [dtype, rows, columns, pitch] = GetParam();
  Values values(2);
  const Tensor gate = values.normal(dtype, {rows, columns}, 3.0f);
  const Tensor up = values.normal(dtype, {rows, columns}, 2.0f);
  Tensor y(dtype, gate.shape());
  DeviceCall unfused;
  unfused.pitch(pitch).in(gate).in(up).none().out(y).run("cuda_swiglu");
  std::vector<double> expected(rows * columns);
  for (int64_t i = 0; i < rows * columns; ++i) {
    const double g = element(gate.view(), i);
    expected[i] = g / (1.0 + std::exp(-g)) * element(up.view(), i);
  }
  // __expf is within 2 + 1.2 |x| ulp, |x| < 20; the division and products add four roundings.
  expect_close(y, expected, epsilon_of(dtype) + 60 * 0x1p-24, 1e-30, "swiglu");
  Tensor reference(dtype, gate.shape()), rounded(dtype, gate.shape());
  DeviceCall plain;
  plain.pitch(pitch).in(gate).in(up).none().out(reference).run("cuda_swiglu_reference");
  for (int64_t i = 0; i < rows * columns; ++i)
    set_element(rounded.view(), i, static_cast<float>(expected[i]));
  expect_same_bytes(reference, rounded, "reference");
  const Tensor scale = scalar(0.02f);
  Tensor codes(DType::kE4M3, gate.shape());
  Tensor after(DType::kE4M3, gate.shape());
  DeviceCall fused;
  fused.pitch(pitch).in(gate).in(up).in(scale).out(codes).run("cuda_swiglu");
  DeviceCall quantized;
  quantized.in(y).in(scale).out(after).run("cuda_quantize");
  expect_same_bytes(codes, after, "fused and separate codes");
}

INSTANTIATE_TEST_SUITE_P(
    Grid, Pointwise,
    ::testing::Values(Case{DType::kBF16, 1, 1, 0}, Case{DType::kBF16, 3, 31, 0},
                      Case{DType::kBF16, 33, 33, 5}, Case{DType::kBF16, 5, 4096, 64},
                      Case{DType::kBF16, 2, 14336, 14336}, Case{DType::kF32, 7, 33, 1},
                      Case{DType::kF32, 4, 512, 8}));

}  // namespace
}  // namespace octavo::testing
