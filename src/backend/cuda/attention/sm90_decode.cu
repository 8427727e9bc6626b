// Decode attention: a sequence's keys and values of one KV head, streamed once for all its heads.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/attention/sm90_decode.cuh"

namespace octavo::cuda {
namespace {

using namespace decode;

template <typename C>
__global__ void __launch_bounds__(kThreads, C::kCtasPerSm)
    attention_decode_kernel(const __grid_constant__ AttentionCall call,
                            const __grid_constant__ DecodeParams params,
                            const __grid_constant__ CUtensorMap k_map,
                            const __grid_constant__ CUtensorMap v_map, int split) {
  extern __shared__ __align__(1024) uint8_t storage[];
  auto& shared = *reinterpret_cast<Shared<C>*>(storage);
  const int warp = threadIdx.x / 32;
  if (threadIdx.x == 0) {
    init_barriers(shared);
    device::prefetch_tensor_map(&k_map);
    device::prefetch_tensor_map(&v_map);
  }
  __syncthreads();
  device::cluster_arrive();
  device::wait_for_dependencies();
  sort<C>(params, shared);
  device::WorkList list(params.sequences, order_of<C>(params, shared), call.kv_heads,
                        blockIdx.x / split, gridDim.x / split, device::cluster_rank(), split);
  if (warp == kConsumers) {
    Producer<C>(call, params, k_map, v_map, split, shared).run(list);
    device::cluster_wait();
  } else {
    if (params.zero_rows)
      zero_unowned_rows(call, blockIdx.x * kConsumers + warp, gridDim.x * kConsumers);
    StoredRows<C> source{call};
    consume<C>(call, list, split, source, shared);
  }
}

template <typename C>
void launch_config(const AttentionCall& call, const DecodePlan& plan, const Launch& where) {
  static_assert(C::kDepth >= 2);
  static_assert(sizeof(Shared<C>) <= C::kSharedBytes);
  if (call.sequences * call.kv_heads == 0) return;
  const auto kernel = attention_decode_kernel<C>;
  const DecodeLaunch made = decode_launch<C>(kernel, call, plan, sizeof(Shared<C>));
  if constexpr (C::kOnePair) {
    if (made.params.sorted) return launch_config<typename C::ManyPairs>(call, plan, where);
  }
  const int box = made.params.box_tokens;
  launch({where.stream, where.programmatic && made.early}, made.grid, kernel, call, made.params,
         cache_map(call, call.k_cache, C::kRowBytes, box),
         cache_map(call, call.v_cache, C::kRowBytes, box), plan.split);
}

template <typename Cache, int kHeadDim>
void launch_decode(const AttentionCall& call, const DecodePlan& plan, const Launch& where) {
  with_config<Cache, kHeadDim>(call, plan,
                               [&]<typename C>(C) { launch_config<C>(call, plan, where); });
}

}  // namespace

DecodePlan plan_decode(int sequences, int kv_heads, int multiprocessors) {
  // The most CTAs a pair for which all are resident at once: two a multiprocessor, less what the
  // clusters leave unused of a group of multiprocessors. A cluster of two never leaves anything.
  const int64_t pairs = int64_t{sequences} * kv_heads;
  DecodePlan plan = {.split = 2};
  while (plan.split < kMaxSplit && pairs * plan.split * 2 * 8 <= int64_t{multiprocessors} * 15)
    plan.split *= 2;
  return plan;
}

void launch_attention_decode(const AttentionCall& call, const DecodePlan& plan,
                             const Launch& where) {
  if (!rows_in_fours(call)) return launch_attention_reference(call, where);
  const bool codes = call.cache == DType::kE4M3;
  if (call.head_dim == 128) {
    if (codes) return launch_decode<device::e4m3_t, 128>(call, plan, where);
    return launch_decode<__nv_bfloat16, 128>(call, plan, where);
  }
  if (codes) return launch_decode<device::e4m3_t, 64>(call, plan, where);
  launch_decode<__nv_bfloat16, 64>(call, plan, where);
}

}  // namespace octavo::cuda
