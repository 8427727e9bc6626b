// The kernels of add_rms_norm_linear write the bytes of add_rms_norm and the linear behind it.
// SPDX-License-Identifier: Apache-2.0
#include "ops/add_rms_norm_linear.h"

#include <limits>

#include "backend/cuda/linear_case.h"

namespace octavo::testing {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Operands of a call, and its results.
struct Whole {
  Linear linear;  // its x is not used
  Tensor x, residual, norm_weight, sum, y;
  bool swiglu = false;
  int64_t x_pitch = 16;

  Whole(int64_t m, int64_t n, int64_t k, int segments, DType y_type, bool with_bias = false)
      : linear(make_linear(DType::kE4M3, m, n, k, segments, false,
                           !with_bias              ? DType::kI32
                           : y_type == DType::kF32 ? DType::kF32
                                                   : DType::kBF16)),
        sum(DType::kBF16, {m, k}),
        y(y_type, {m, y_type == DType::kE4M3 ? n / 2 : n}),
        swiglu(y_type == DType::kE4M3) {
    Values values(static_cast<uint32_t>(m + n + k));
    x = values.normal(DType::kBF16, {m, k});
    residual = values.normal(DType::kBF16, {m, k}, 3.0f);
    norm_weight = values.normal(DType::kBF16, {k});
  }

  OpParams params() const {
    return NormLinearParams{.epsilon = 1e-5f, .segment_rows = linear.params.segment_rows};
  }
  DeviceCall call() {
    DeviceCall call;
    call.pitch(x_pitch)
        .params(params())
        .in(x)
        .pitch(16)
        .in(residual)
        .in(norm_weight)
        .in(linear.weight);
    call.in(linear.input_scale).in(linear.weight_scale);
    linear.bias.defined() ? call.in(linear.bias) : call.none();
    swiglu ? call.in(scalar(0.02f)) : call.none();
    call.out(sum).out(y);
    return call;
  }
  void run(std::string_view part) {
    call().run(fmt::format("cuda_add_rms_norm_linear{}{}", swiglu ? "_swiglu" : "", part));
  }
};

void expect_bytes_of_parts(Whole& whole, std::string_view what) {
  whole.run("_in_turn");
  const Tensor sum = std::move(whole.sum), y = std::move(whole.y);
  whole.sum = Tensor(sum.dtype(), sum.shape());
  whole.y = Tensor(y.dtype(), y.shape());
  whole.run("");
  const std::string name =
      fmt::format("m {} n {} k {} {}", whole.linear.m, whole.linear.n, whole.linear.k, what);
  expect_same_bytes(whole.sum, sum, "sum " + name);
  expect_same_bytes(whole.y, y, "y " + name);
}

TEST(AddRmsNormLinearKernel, InTurnRunsItsParts) {
  OCTAVO_REQUIRE_DEVICE();
  Whole whole(3, 96, 272, 2, DType::kBF16, /*with_bias=*/true);
  Tensor sum(DType::kBF16, {3, 272}), codes(DType::kE4M3, {3, 272}), y(DType::kBF16, {3, 96});
  DeviceCall norm;
  norm.pitch(16).params(RmsNormParams{1e-5f}).in(whole.x).in(whole.residual).in(whole.norm_weight);
  norm.in(whole.linear.input_scale).out(sum).out(codes).run("cuda_add_rms_norm");
  whole.linear.x = std::move(codes);
  DeviceCall linear;
  linear.pitch(16);
  add_inputs(linear, whole.linear);
  linear.out(y).run("cuda_linear_low_latency");
  whole.run("_in_turn");
  expect_same_bytes(whole.sum, sum, "sum");
  expect_same_bytes(whole.y, y, "y");
}

// Widths of the norm's every layout and of every split, with tails of K; what a model has beside
// them.
TEST(AddRmsNormLinearKernel, GivesTheBytesOfItsParts) {
  OCTAVO_REQUIRE_DEVICE();
  for (const int64_t k : {16, 272, 1024, 2048, 3072, 4096, 4112, 5120, 8192}) {
    for (const int64_t m : {1, 2, 3, 4, 8}) {
      if (m > 2 && k > 1024 && k != 4096) continue;
      Whole whole(m, 80, k, 3, m == 2 ? DType::kF32 : DType::kBF16, m == 3);
      expect_bytes_of_parts(whole, "plain");
      Whole swiglu(m, 96, k, 2, DType::kE4M3, m == 3);
      expect_bytes_of_parts(swiglu, "swiglu");
      if (::testing::Test::HasFailure()) return;
    }
  }
}

// What is not a number stays in its row, and a zero keeps its sign.
TEST(AddRmsNormLinearKernel, RowsDoNotMeet) {
  OCTAVO_REQUIRE_DEVICE();
  for (const int64_t bad : {0, 1, 3}) {
    Whole whole(4, 80, 1040, 1, DType::kBF16);
    for (int64_t i = 0; i < 1040; ++i) {
      set_element(whole.x.view(), bad * 1040 + i, i == 5 ? kNan : -1e38f);
      for (Tensor* zero : {&whole.x, &whole.residual})
        set_element(zero->view(), 2 * 1040 + i, i % 2 == 0 ? -0.0f : 0.0f);
    }
    expect_bytes_of_parts(whole, "not a number");
    const auto finite = [&](int64_t row) {
      bool all = true;
      for (int64_t i = 0; i < 80; ++i) all &= std::isfinite(element(whole.y.view(), row * 80 + i));
      return all;
    };
    for (int64_t row = 0; row < 4; ++row) EXPECT_EQ(finite(row), row != bad) << row;
    Whole one(1, 80, 1040, 1, DType::kBF16);  // behind rows that were not numbers
    expect_bytes_of_parts(one, "one row");
  }
}

TEST(AddRmsNormLinearKernel, UnalignedRowsAreRunInTurn) {
  OCTAVO_REQUIRE_DEVICE();
  Whole whole(3, 80, 272, 1, DType::kBF16);
  whole.x_pitch = 1;
  expect_bytes_of_parts(whole, "odd pitch");
}

Problem small_problem(bool swiglu) {
  Problem problem{.op = Op::kAddRmsNormLinear, .params = NormLinearParams{}};
  const Problem::Operand scale{{1}, DType::kF32, true}, rows{{4, 64}, DType::kBF16, true};
  problem.inputs = {
      rows,  rows, {{64}, DType::kBF16, true},         {{64, 64}, DType::kE4M3, true}, scale,
      scale, {},   swiglu ? scale : Problem::Operand{}};
  problem.outputs = {rows, swiglu ? Problem::Operand{{4, 32}, DType::kE4M3, true} : rows};
  return problem;
}

TEST(AddRmsNormLinearKernel, SaysWhatItCannotRun) {
  for (const bool swiglu : {false, true}) {
    const Kernel& kernel =
        cuda_kernel(swiglu ? "cuda_add_rms_norm_linear_swiglu" : "cuda_add_rms_norm_linear");
    const Problem problem = small_problem(swiglu);
    EXPECT_TRUE(kernel.supports(problem).supported);
    EXPECT_EQ(kernel.supports(small_problem(!swiglu)).reason,
              swiglu ? "no SwiGLU" : "a SwiGLU behind it");
    const auto reason = [&](auto change) {
      Problem changed = problem;
      change(changed);
      return kernel.supports(changed).reason;
    };
    EXPECT_EQ(reason([](Problem& p) { p.inputs[0].shape[0] = 9; }), "9 rows, at most 8");
    EXPECT_EQ(reason([](Problem& p) { p.inputs[0].shape[1] = p.inputs[3].shape[1] = 8208; }),
              "8208 columns, at most 8192");
    EXPECT_EQ(reason([](Problem& p) { p.inputs[2].shape[0] = 32; }), "a norm of parts of a row");
    EXPECT_EQ(reason([](Problem& p) {
                for (const int i : {0, 1, 2}) p.inputs[i].dtype = DType::kF32;
                p.outputs[0].dtype = DType::kF32;
              }),
              "x of float32");
    EXPECT_FALSE(reason([](Problem& p) { p.inputs[3].dtype = DType::kBF16; }).empty());
  }
}

}  // namespace
}  // namespace octavo::testing
