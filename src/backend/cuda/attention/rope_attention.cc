// The kernels cuda_rope_attention_in_turn and cuda_rope_attention_decode.
// SPDX-License-Identifier: Apache-2.0
#include "ops/rope_attention.h"

#include "backend/cuda/attention/attention.h"
#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"

namespace octavo::cuda {
namespace {

Verdict supports(const Problem& problem) {
  const Verdict rope = kRopeKvAppend.supports(rope_part(problem));
  return rope.supported ? kAttentionDecode.supports(attention_part(problem)) : rope;
}

// Of q, rotated.
int64_t workspace(const Problem& problem) {
  return problem.inputs[0].shape.elements() * size_of(problem.inputs[0].dtype);
}

TensorView rotated_queries(const Operands& operands, const LaunchContext& context) {
  const TensorView& q = operands.inputs[0];
  const TensorView rotated(context.workspace.data(), q.dtype, q.shape);
  OCTAVO_CHECK(rotated.bytes() <= static_cast<int64_t>(context.workspace.size()));
  return rotated;
}

void run_in_turn(const Operands& operands, const LaunchContext& context) {
  const RopeThenAttention parts(operands, rotated_queries(operands, context));
  kRopeKvAppend.run(parts.rope(), context);
  kAttentionDecode.run(parts.attention(), context);
}

NewTokens new_tokens(const RopeAttentionArgs& args) {
  return {.k = args.k.data,
          .v = args.v.data,
          .positions = args.positions.as<const int32_t>(),
          .inverse_frequency = args.inverse_frequency.as<const float>(),
          .slots = args.slots.as<const int64_t>(),
          .k_cache = args.k_cache.data,
          .v_cache = args.v_cache.data,
          .k_stride = args.k.row_stride,
          .v_stride = args.v.row_stride};
}

void run_decode(const Operands& operands, const LaunchContext& context) {
  const auto args = RopeAttentionArgs::bind(operands);
  const RopeThenAttention parts(operands, args.q);  // q as it is: the kernel rotates it
  const AttentionCall call = bind_attention(parts.attention());
  const NewTokens tokens = new_tokens(args);
  if (!can_launch_rope_attention(call, tokens)) return run_in_turn(operands, context);
  const DecodePlan plan = plan_decode(call.sequences, call.kv_heads, multiprocessors());
  launch_rope_attention(call, tokens, with_tactic(plan, context.tactic), on(context));
}

constexpr KernelTraits kInTurn = {.device = DeviceType::kCuda,
                                  .programmatic = true,
                                  .batch_invariant = false,
                                  .unfused = true,
                                  .only_major = 9};
constexpr KernelTraits kFused = {
    .device = DeviceType::kCuda, .programmatic = true, .batch_invariant = false, .only_major = 9};

}  // namespace

const Kernel kRopeAttentionInTurn = {
    "cuda_rope_attention_in_turn", Op::kRopeAttention, kInTurn, supports, workspace, run_in_turn};
const Kernel kRopeAttentionDecode = {
    "cuda_rope_attention_decode", Op::kRopeAttention, kFused, supports, workspace, run_decode};

}  // namespace octavo::cuda
