// The reference of attention does not depend on the order in which it sums.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/run_kernel.h"
#include "ops/attention_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

// Every run of `count` elements backwards.
HostTensor reversed(const HostTensor& tensor, int64_t count) {
  HostTensor out = tensor;
  for (int64_t i = 0; i < tensor.elements(); ++i)
    out.set(i, tensor.get(i / count * count + count - 1 - i % count));
  return out;
}

TEST(AttentionReferenceTest, HeadsBackwardsGiveTheResultBackwards) {
  const Kernel& kernel = cpu_kernel("cpu_attention_reference");
  for (const DType cache : {DType::kF32, DType::kBF16, DType::kE4M3}) {
    AttentionSpec spec = {.heads = 4, .kv_heads = 2, .head_dim = 64, .cache = cache};
    spec.sequences = {{1, 70}, {40, 40}, {3, 95}};
    SCOPED_TRACE(spec.name());
    OpCase one = attention_inputs(spec, 1);
    OpCase other = one;
    for (const AttentionInput operand : {kQ, kKeys, kValues})
      other.inputs[operand] = reversed(one.inputs[operand], spec.head_dim);
    run_on_cpu(kernel, one);
    run_on_cpu(kernel, other);
    EXPECT_EQ(bytes_of(other.outputs[0]), bytes_of(reversed(one.outputs[0], spec.head_dim)));
  }
}

}  // namespace
}  // namespace octavo
