// RoPE with KV append, then attention, on the CPU: the oracle of the fused GPU kernel.
// SPDX-License-Identifier: Apache-2.0
#include "ops/rope_attention.h"

#include "backend/cpu/op_kernels.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

Verdict supports(const Problem& problem) {
  const Verdict rope = kCpuRopeKvAppend.supports(rope_part(problem));
  return rope.supported ? kCpuAttention.supports(attention_part(problem)) : rope;
}

// Of q, rotated.
int64_t workspace(const Problem& problem) {
  return problem.inputs[0].shape.elements() * size_of(problem.inputs[0].dtype);
}

void run(const Operands& operands, const LaunchContext& context) {
  const TensorView& q = operands.inputs[0];
  const TensorView rotated(context.workspace.data(), q.dtype, q.shape);
  OCTAVO_CHECK(rotated.bytes() <= static_cast<int64_t>(context.workspace.size()));
  const RopeThenAttention parts(operands, rotated);
  kCpuRopeKvAppend.run(parts.rope(), context);
  kCpuAttention.run(parts.attention(), context);
}

}  // namespace

const Kernel kCpuRopeAttention = {.name = "cpu_rope_attention",
                                  .op = Op::kRopeAttention,
                                  .traits = {},
                                  .supports = supports,
                                  .workspace = workspace,
                                  .run = run};

}  // namespace octavo
