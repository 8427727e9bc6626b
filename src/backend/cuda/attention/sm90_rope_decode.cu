// Decode attention that rotates its queries and appends the new keys and values by itself.
// SPDX-License-Identifier: Apache-2.0
//
// A row's last key and value are not in the cache yet. The one warp whose tokens they are among
// writes them to their page, and into its stage of shared memory in place of whatever TMA found
// there: no CTA takes from memory what one writes in this launch. Everything else that is read of
// the cache, and the tables, are of earlier steps, so that the ring fills before the predecessor's
// end.
#include <cstddef>

#include "backend/cuda/attention/sm90_decode.cuh"
#include "backend/cuda/device/rope.cuh"

namespace octavo::cuda {
namespace {

using namespace decode;

// Shared memory behind Shared.
template <typename C>
struct NewRowsShared {
  alignas(16) float turns[kConsumers][2][C::kHeadDim / 2];  // cosines and sines, by each warp
  alignas(16) uint8_t last[2][C::kRowBytes];  // key and value, by the warp whose tokens they are of
};
// Not at its end, which is rounded up.
template <typename C>
constexpr int kNewRowsAt = (offsetof(Shared<C>, order) + sizeof(typename C::Order) + 15) / 16 * 16;

template <typename C>
class NewRows {
 public:
  __device__ __forceinline__ NewRows(const AttentionCall& call, const NewTokens& tokens, int split,
                                     bool zero_rows, NewRowsShared<C>& shared)
      : call_(call), tokens_(tokens), split_(split), zero_rows_(zero_rows), shared_(shared) {}

  __device__ __forceinline__ void look(const device::Work& work) {
    position_ = tokens_.positions[work.row];
#pragma unroll
    for (int i = 0; i < kAngles; ++i) frequency_[i] = tokens_.inverse_frequency[i * 32 + lane()];
  }

  __device__ __forceinline__ void start() {
    device::wait_for_dependencies();
    const int warp = static_cast<int>(blockIdx.x * kConsumers + threadIdx.x / 32);
    if (zero_rows_) zero_unowned_rows(call_, warp, gridDim.x * kConsumers);
  }

  __device__ __forceinline__ void fetch(device::Queries<C>& queries, const device::Work& work) {
    queries.fetch(queries_of<C>(call_, work), call_.heads / call_.kv_heads);
    slot_ = owns_last_key(work) ? static_cast<int>(tokens_.slots[work.row]) : -1;
    if (slot_ < 0 || lane() >= 2 * kPieces) return;
    const auto* row = static_cast<const __nv_bfloat16*>(has_key() ? tokens_.k : tokens_.v) +
                      work.row * (has_key() ? tokens_.k_stride : tokens_.v_stride) +
                      work.kv_head * C::kHeadDim + column();
    low_ = device::load_vec<4>(row);
    high_ = device::load_vec<4>(row + kHalf);
  }

  __device__ __forceinline__ void rotate(device::Queries<C>& queries, const device::Work& work) {
    __syncwarp();  // the last row's angles are used
#pragma unroll
    for (int i = 0; i < kAngles; ++i)
      sincosf(__fmul_rn(static_cast<float>(position_), frequency_[i]), sines() + i * 32 + lane(),
              cosines() + i * 32 + lane());
    __syncwarp();
    queries.rotate(cosines(), sines());
    if (slot_ >= 0 && lane() < 2 * kPieces) append(work);
    __syncwarp();
  }

  // Of 16 or 32 tokens from `token` on, this warp's of the stage, the last key and value.
  __device__ __forceinline__ void complete(uint8_t (&stage)[2][C::kTensorBytes], int token,
                                           const device::Work& work) const {
    constexpr int kRowPieces = C::kRowBytes / 16;
    const int last = work.keys.end - 1;
    if (slot_ < 0 || last < token || last >= token + C::kStep) return;
    if (lane() < 2 * kRowPieces) {
      const int tensor = lane() / kRowPieces;
      const int byte = lane() % kRowPieces * 16;
      *reinterpret_cast<uint4*>(stage[tensor] +
                                device::swizzled(last % C::kStageTokens * C::kRowBytes + byte)) =
          *reinterpret_cast<const uint4*>(shared_.last[tensor] + byte);
    }
    device::fence_async_proxy();  // the stage is TMA's again once it has been read
    __syncwarp();
  }

 private:
  static constexpr int kHalf = C::kHeadDim / 2;
  static constexpr int kPieces = kHalf / 4;  // of a half row: a lane each; first k's, then v's
  static constexpr int kAngles = kHalf / 32;

  __device__ __forceinline__ static int lane() { return static_cast<int>(threadIdx.x % 32); }
  __device__ __forceinline__ static bool has_key() { return lane() < kPieces; }
  __device__ __forceinline__ static int column() { return lane() % kPieces * 4; }

  __device__ __forceinline__ float* cosines() const { return shared_.turns[threadIdx.x / 32][0]; }
  __device__ __forceinline__ float* sines() const { return shared_.turns[threadIdx.x / 32][1]; }

  __device__ __forceinline__ bool owns_last_key(const device::Work& work) const {
    const int last = work.keys.end - 1;
    const int stage = last / C::kStageTokens - work.keys.first / C::kStageTokens;
    return ((stage - work.turn) & (split_ - 1)) == 0 &&
           last % C::kStageTokens / C::kStep == static_cast<int>(threadIdx.x / 32);
  }

  // Makes what the cache stores of the last key and value, for the page and for `complete`.
  __device__ __forceinline__ void append(const device::Work& work) {
    using Cache = typename C::Cache;
    float low[4], high[4];
    device::to_floats(low, low_);
    device::to_floats(high, high_);
    if (has_key()) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        device::rotate(low[i], high[i], cosines()[column() + i], sines()[column() + i]);
    }
    const int block = slot_ / call_.tokens_per_block;
    const int offset = slot_ - block * call_.tokens_per_block;
    const int64_t row =
        (int64_t{block} * call_.kv_heads + work.kv_head) * call_.tokens_per_block + offset;
    auto* page = reinterpret_cast<Cache*>(has_key() ? tokens_.k_cache : tokens_.v_cache) +
                 row * C::kHeadDim + column();
    auto* kept = reinterpret_cast<Cache*>(shared_.last[has_key() ? 0 : 1]) + column();
    const float inverse = inverse_scale();
    for (Cache* to : {page, kept}) {
      device::store_as<__nv_bfloat16>(to, low, inverse);
      device::store_as<__nv_bfloat16>(to + kHalf, high, inverse);
    }
  }

  __device__ __forceinline__ float inverse_scale() const {
    const float* scale = has_key() ? call_.k_scale : call_.v_scale;
    return scale != nullptr ? device::inverse_scale(scale) : 1.0f;
  }

  const AttentionCall& call_;
  const NewTokens& tokens_;
  const int split_;
  const bool zero_rows_;
  NewRowsShared<C>& shared_;
  float frequency_[kAngles];
  int position_ = 0;
  int slot_ = -1;  // where the warp appends the row's last key; negative: nowhere
  device::Vec<__nv_bfloat16, 4> low_, high_;
};

template <typename C>
__global__ void __launch_bounds__(kThreads, C::kCtasPerSm)
    rope_attention_decode_kernel(const __grid_constant__ AttentionCall call,
                                 const __grid_constant__ DecodeParams params,
                                 const __grid_constant__ CUtensorMap k_map,
                                 const __grid_constant__ CUtensorMap v_map, int split,
                                 const __grid_constant__ NewTokens tokens) {
  extern __shared__ __align__(1024) uint8_t storage[];
  auto& shared = *reinterpret_cast<Shared<C>*>(storage);
  if (threadIdx.x == 0) {
    init_barriers(shared);
    device::prefetch_tensor_map(&k_map);
    device::prefetch_tensor_map(&v_map);
  }
  __syncthreads();
  device::cluster_arrive();
  sort<C>(params, shared);
  device::WorkList list(params.sequences, order_of<C>(params, shared), call.kv_heads,
                        blockIdx.x / split, gridDim.x / split, device::cluster_rank(), split);
  if (threadIdx.x / 32 == kConsumers) {
    Producer<C>(call, params, k_map, v_map, split, shared).run(list);
    device::cluster_wait();
  } else {
    auto& new_rows = *reinterpret_cast<NewRowsShared<C>*>(storage + kNewRowsAt<C>);
    NewRows<C> source(call, tokens, split, params.zero_rows, new_rows);
    consume<C>(call, list, split, source, shared);  // waits for the predecessor
  }
}

template <typename C>
void launch_config(const AttentionCall& call, const NewTokens& tokens, const DecodePlan& plan,
                   const Launch& where) {
  constexpr int kNeeded = kNewRowsAt<C> + sizeof(NewRowsShared<C>);
  static_assert(kNeeded <= C::kSharedBytes);
  if (call.sequences * call.kv_heads == 0) return;
  const auto kernel = rope_attention_decode_kernel<C>;
  const DecodeLaunch made = decode_launch<C>(kernel, call, plan, kNeeded);
  if constexpr (C::kOnePair) {
    if (made.params.sorted) return launch_config<typename C::ManyPairs>(call, tokens, plan, where);
  }
  const int box = made.params.box_tokens;
  launch({where.stream, where.programmatic && made.early}, made.grid, kernel, call, made.params,
         cache_map(call, call.k_cache, C::kRowBytes, box),
         cache_map(call, call.v_cache, C::kRowBytes, box), plan.split, tokens);
}

template <typename Cache, int kHeadDim>
void launch_cache(const AttentionCall& call, const NewTokens& tokens, const DecodePlan& plan,
                  const Launch& where) {
  with_config<Cache, kHeadDim>(call, plan,
                               [&]<typename C>(C) { launch_config<C>(call, tokens, plan, where); });
}

}  // namespace

bool can_launch_rope_attention(const AttentionCall& call, const NewTokens& tokens) {
  const auto fours = [](const void* data, int64_t stride) {
    return reinterpret_cast<uintptr_t>(data) % 8 == 0 && stride % 4 == 0;
  };
  return rows_in_fours(call) && fours(tokens.k, tokens.k_stride) &&
         fours(tokens.v, tokens.v_stride);
}

void launch_rope_attention(const AttentionCall& call, const NewTokens& tokens,
                           const DecodePlan& plan, const Launch& where) {
  const bool codes = call.cache == DType::kE4M3;
  if (call.head_dim == 128) {
    if (codes) return launch_cache<device::e4m3_t, 128>(call, tokens, plan, where);
    return launch_cache<__nv_bfloat16, 128>(call, tokens, plan, where);
  }
  if (codes) return launch_cache<device::e4m3_t, 64>(call, tokens, plan, where);
  launch_cache<__nv_bfloat16, 64>(call, tokens, plan, where);
}

}  // namespace octavo::cuda
