// The x of a low-latency linear as the residual add and RMS norm before it would write it.
// SPDX-License-Identifier: Apache-2.0
//
// A norm of few rows is all latency: a launch, a load, a sum. Here every CTA norms all rows by
// itself, from L2, while the weights that it waits for are on their way.
#pragma once

#include "backend/cuda/device/norm.cuh"
#include "backend/cuda/device/reduce/group.cuh"
#include "backend/cuda/gemm/normed_low_latency.h"
#include "backend/cuda/gemm/sm90_fp8_low_latency.cuh"

namespace octavo::cuda::low_latency {

// A group's rows, one after the other. A thread holds what those of rms_norm hold, and adds in the
// same order: the same bytes.
class RowNorm {
 public:
  // Asks for the norm's weight.
  __device__ __forceinline__ RowNorm(const NormRows& rows, device::Group& group)
      : rows_(rows), group_(group), inverse_(device::inverse_scale(rows.output_scale)) {
    load(weights_, rows.weight, 0);
  }

  // Asks for a row's terms, where there is such a row.
  __device__ __forceinline__ void ask(int row) {
    if (row >= rows_.rows) return;
    load(terms_, rows_.x, row * rows_.x_stride);
    load(others_, rows_.residual, row * rows_.residual_stride);
  }

  // Norms the row that was asked for, and asks for `next` before its threads wait for each other.
  // codes(column) is where eight codes go, or null where nobody here wants them.
  template <typename Codes>
  __device__ __forceinline__ void norm(int row, int next, bool writes_sum, const Codes& codes) {
    Vec values[kMaxNormHeld];
#pragma unroll
    for (int slot = 0; slot < kMaxNormHeld; ++slot)
      values[slot] = device::add_rounded(terms_[slot], others_[slot]);
    ask(next);
    float squares = 0.0f;
    T* const sum = static_cast<T*>(rows_.sum) + row * rows_.sum_stride;
    for_slots([&](int slot, int at) {
      if (writes_sum) *reinterpret_cast<Vec*>(sum + at) = values[slot];
      squares = device::add_squares(squares, values[slot]);
    });
    const float mean = group_.sum(squares) * rows_.inverse_width;
    const float factor = rsqrtf(mean + rows_.epsilon);
    for_slots([&](int slot, int at) {
      if (device::e4m3_t* to = codes(at))
        device::write_normed(to, values[slot], weights_[slot], factor, inverse_);
    });
  }

 private:
  using T = __nv_bfloat16;
  static constexpr int kWidth = 8;
  using Vec = device::Vec<T, kWidth>;

  __device__ __forceinline__ int column(int slot) const {
    return (group_.thread + slot * group_.threads) * kWidth;
  }
  template <typename Function>
  __device__ __forceinline__ void for_slots(const Function& function) const {
#pragma unroll
    for (int slot = 0; slot < kMaxNormHeld; ++slot) {
      if (column(slot) < rows_.width) function(slot, column(slot));
    }
  }
  // Without a condition, at the row's begin where there is no such vector: a register that may or
  // may not be loaded is kept for too long.
  __device__ __forceinline__ void load(Vec (&vecs)[kMaxNormHeld], const void* from,
                                       int64_t first) const {
#pragma unroll
    for (int slot = 0; slot < kMaxNormHeld; ++slot) {
      const int at = column(slot) < rows_.width ? column(slot) : 0;
      vecs[slot] = device::load_vec<kWidth>(static_cast<const T*>(from) + first + at);
    }
  }

  const NormRows& rows_;
  device::Group& group_;
  const float inverse_;
  Vec weights_[kMaxNormHeld], terms_[kMaxNormHeld], others_[kMaxNormHeld];
};

// Codes of the CTA's share of K, as TMA would bring them: 8 rows of 128 codes a step, swizzled.
// Rows past the last token keep what is there; nobody uses their sums.
struct NormedX {
  using Gemm = NormedLowLatencyGemm;
  static constexpr bool kInRing = false;
  static constexpr int kRows = 8;
  static constexpr int kStepBytes = kRows * kLowLatencyStep;
  static constexpr int kAllNormed = kConsumers / 32 + 1;  // a barrier that no group has

  uint32_t codes;
  int stage_bytes;

  static __device__ __forceinline__ int bytes(const Cut& cut) {
    return cut.share * cut.config.steps * kStepBytes;
  }
  __device__ __forceinline__ uint32_t at(uint32_t /*slot*/, int stage) const {
    return codes + stage * stage_bytes;
  }

  template <typename AnyRest>
  static __device__ __forceinline__ NormedX make(const Gemm& gemm, const Cut& cut,
                                                 const LowLatencyWork& work, AnyRest& rest,
                                                 uint8_t* behind) {
    static_assert(sizeof(rest.sums) >= kConsumers / 32 * sizeof(device::GroupScratch));
    const int first = work.first_stage * cut.config.steps * kLowLatencyStep;
    const int end = first + work.stages * cut.config.steps * kLowLatencyStep;
    const auto place = [&](int row, int column) -> device::e4m3_t* {
      if (column < first || column >= end) return nullptr;
      const int own = column - first;
      const int chunk = own % kLowLatencyStep / 16 ^ row;
      return reinterpret_cast<device::e4m3_t*>(behind + own / kLowLatencyStep * kStepBytes +
                                               row * kLowLatencyStep + chunk * 16 + own % 16);
    };
    // Nothing else is in the sums yet.
    norm_rows(gemm, reinterpret_cast<device::GroupScratch*>(rest.sums), place);
    // Zeros past the end of K, as in the weights there: their product is nothing.
    const int chunks = max(end - max(gemm.k, first), 0) / 16;
    for (int i = threadIdx.x; i < gemm.m * chunks; i += kConsumers)
      *reinterpret_cast<uint4*>(place(i / chunks, end - (i % chunks + 1) * 16)) = uint4{};
    device::fence_async_proxy();
    device::wait_named(kAllNormed, kConsumers);
    return {device::shared_address(behind), cut.config.steps * kStepBytes};
  }

 private:
  template <typename Place>
  static __device__ __forceinline__ void norm_rows(const Gemm& gemm, device::GroupScratch* scratch,
                                                   const Place& place) {
    const int groups = kConsumers / gemm.norm_threads;
    device::Group group(gemm.norm_threads, scratch);
    const bool writes_sum = blockIdx.x == 0 && blockIdx.y == 0;
    if (group.index >= groups) return device::wait_for_dependencies();
    RowNorm norm(gemm.norm, group);
    device::wait_for_dependencies();
    norm.ask(group.index);
    for (int row = group.index; row < gemm.m; row += groups)
      norm.norm(row, row + groups, writes_sum, [&](int column) { return place(row, column); });
  }
};

}  // namespace octavo::cuda::low_latency
