// Kernels refuse element types by name.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/support.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

Problem problem_of(DType input, DType output) {
  return {.inputs = {{{2, 2}, input, true}, {{}, DType::kF16, false}, {{2}, DType::kI32, true}},
          .outputs = {{{2, 2}, output, true}}};
}

TEST(SupportTest, ActivationsAreFloat32AndBfloat16) {
  EXPECT_TRUE(supports_activations(problem_of(DType::kF32, DType::kBF16)).supported);
  EXPECT_TRUE(supports_activations(problem_of(DType::kBF16, DType::kE4M3)).supported);
  EXPECT_EQ(supports_activations(problem_of(DType::kF16, DType::kF32)).reason,
            "expected float32 or bfloat16 inputs, got float16");
  EXPECT_EQ(supports_activations(problem_of(DType::kE4M3, DType::kF32)).reason,
            "expected float32 or bfloat16 inputs, got float8_e4m3");
  EXPECT_EQ(supports_activations(problem_of(DType::kF32, DType::kI32)).reason,
            "expected float32, bfloat16 or float8_e4m3 outputs, got int32");
}

}  // namespace
}  // namespace octavo
