// quantize writes the codes of the scalar codec, for every BF16 value.
// SPDX-License-Identifier: Apache-2.0
#include "ops/quantize.h"

#include "backend/cpu/run_kernel.h"

namespace octavo {
namespace {

using namespace testing_ops;

TEST(QuantizeTest, EveryBf16Value) {
  HostTensor x(DType::kBF16, {64, 1024});
  for (uint32_t i = 0; i < 65536; ++i) {
    const bf16 value{static_cast<uint16_t>(i)};
    std::memcpy(x.storage().data() + x.byte_of(i), &value, sizeof(value));
  }
  for (const float scale : {1.0f, 0.0123f, 3e-38f, 1e37f}) {
    const auto y =
        results(Op::kQuantize, {}, {x, scale_tensor(scale)}, {{DType::kE4M3, x.shape()}});
    const float inverse = inverse_scale(scale);
    for (uint32_t i = 0; i < 65536; ++i) {
      const float value = to_float(bf16{static_cast<uint16_t>(i)});
      const auto code = static_cast<uint8_t>(y[0].storage()[i]);
      // The sign of a NaN that a product makes (infinity × 0) is not fixed.
      if (is_nan(e4m3{code}) && is_nan(quantize(value, inverse))) continue;
      ASSERT_EQ(code, quantize(value, inverse).bits) << value << " at " << scale;
    }
  }
}

}  // namespace
}  // namespace octavo
