// The kernels cuda_rope, cuda_rope_reference, cuda_kv_append and cuda_rope_kv_append.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/rope/rope_kv_append.h"

#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"
#include "ops/kv_append.h"
#include "ops/rope.h"
#include "ops/rope_kv_append.h"

namespace octavo::cuda {
namespace {

void set_cache(RopeCall& call, const TensorView& k_cache, const TensorView& v_cache) {
  call.k_cache = k_cache.data;
  call.v_cache = v_cache.data;
  call.kv_heads = static_cast<int>(k_cache.shape[1]);
  call.tokens_per_block = static_cast<int>(k_cache.shape[2]);
  call.head_dim = static_cast<int>(k_cache.shape[3]);
}

RopeCall bind_rope(const Operands& operands) {
  const auto args = RopeArgs::bind(operands);
  const int64_t head_dim = args.params->head_dim;
  RopeCall call = {};
  call.q = args.x.data;
  call.y = args.y.data;
  call.q_stride = args.x.row_stride;
  call.y_stride = args.y.row_stride;
  call.positions = args.positions.as<const int32_t>();
  call.inverse_frequency = args.inverse_frequency.as<const float>();
  call.heads = static_cast<int>(args.x.columns() / head_dim);
  call.head_dim = static_cast<int>(head_dim);
  call.tokens = args.x.rows();
  call.vector = vector_width(head_dim / 2, {&args.x, &args.y});
  call.activation = call.cache = args.x.dtype;
  return call;
}

void run_rope(const Operands& operands, const LaunchContext& context) {
  launch_rope_kv_append(bind_rope(operands), on(context));
}

void run_rope_reference(const Operands& operands, const LaunchContext& context) {
  launch_rope_reference(bind_rope(operands), on(context));
}

void run_kv_append(const Operands& operands, const LaunchContext& context) {
  const auto args = KvAppendArgs::bind(operands);
  RopeCall call = {};
  set_cache(call, args.k_cache, args.v_cache);
  call.k = args.k.data;
  call.v = args.v.data;
  call.k_stride = args.k.row_stride;
  call.v_stride = args.v.row_stride;
  call.slots = args.slots.as<const int64_t>();
  call.k_scale = args.k_scale.as<const float>();
  call.v_scale = args.v_scale.as<const float>();
  call.vector = vector_width(call.head_dim / 2, {&args.k, &args.v, &args.k_cache, &args.v_cache});
  call.tokens = args.k.rows();
  call.activation = args.k.dtype;
  call.cache = args.k_cache.dtype;
  launch_rope_kv_append(call, on(context));
}

void run_rope_kv_append(const Operands& operands, const LaunchContext& context) {
  const auto args = RopeKvAppendArgs::bind(operands);
  RopeCall call = {};
  set_cache(call, args.k_cache, args.v_cache);
  call.q = args.q.data;
  call.k = args.k.data;
  call.v = args.v.data;
  call.y = args.y.data;
  call.q_stride = args.q.row_stride;
  call.k_stride = args.k.row_stride;
  call.v_stride = args.v.row_stride;
  call.y_stride = args.y.row_stride;
  call.positions = args.positions.as<const int32_t>();
  call.inverse_frequency = args.inverse_frequency.as<const float>();
  call.slots = args.slots.as<const int64_t>();
  call.k_scale = args.k_scale.as<const float>();
  call.v_scale = args.v_scale.as<const float>();
  call.heads = static_cast<int>(args.q.columns() / call.head_dim);
  call.vector = vector_width(call.head_dim / 2,
                             {&args.q, &args.k, &args.v, &args.y, &args.k_cache, &args.v_cache});
  call.tokens = args.q.rows();
  call.activation = args.q.dtype;
  call.cache = args.k_cache.dtype;
  launch_rope_kv_append(call, on(context));
}

Verdict check_head_dim(int64_t head_dim) {
  if (head_dim > kMaxRopeHeadDim)
    return Verdict::no(fmt::format("head_dim {} > {}", head_dim, kMaxRopeHeadDim));
  return Verdict::yes();
}

Verdict supports_rope(const Problem& problem) {
  const int64_t head_dim = std::get<RopeParams>(problem.params).head_dim;
  if (problem.outputs[0].dtype != problem.inputs[0].dtype)
    return Verdict::no("y of another type than x");
  const Verdict types = check_activations(problem, {0});
  return types.supported ? check_head_dim(head_dim) : types;
}

Verdict supports_kv_append(const Problem& problem) {
  const int64_t head_dim = problem.outputs[0].shape[3];
  if (head_dim % 2 != 0) return Verdict::no("an odd head_dim");
  const Verdict types = check_activations(problem, {0, 1});
  return types.supported ? check_head_dim(head_dim) : types;
}

Verdict supports_rope_kv_append(const Problem& problem) {
  if (problem.outputs[0].dtype != problem.inputs[0].dtype)
    return Verdict::no("y of another type than q");
  const Verdict types = check_activations(problem, {0, 1, 2});
  return types.supported ? check_head_dim(std::get<RopeParams>(problem.params).head_dim) : types;
}

constexpr KernelTraits kTraits = {.device = DeviceType::kCuda, .programmatic = true};
constexpr KernelTraits kReferenceTraits = {
    .device = DeviceType::kCuda, .programmatic = true, .fallback = true};

}  // namespace

const Kernel kRope = {"cuda_rope", Op::kRope, kTraits, supports_rope, nullptr, run_rope};
const Kernel kRopeReference = {"cuda_rope_reference", Op::kRope, kReferenceTraits,
                               supports_rope,         nullptr,   run_rope_reference};
const Kernel kKvAppend = {"cuda_kv_append",   Op::kKvAppend, kTraits,
                          supports_kv_append, nullptr,       run_kv_append};
const Kernel kRopeKvAppend = {"cuda_rope_kv_append",   Op::kRopeKvAppend, kTraits,
                              supports_rope_kv_append, nullptr,           run_rope_kv_append};

}  // namespace octavo::cuda
