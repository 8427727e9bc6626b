// All-reduce of few rows with the residual add, RMS norm and quantize behind it: a block a row.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/comm/reduce_norm.h"
#include "backend/cuda/device/norm.cuh"
#include "backend/cuda/device/peer_sum.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/dispatch.h"

namespace octavo::cuda {
namespace {

using T = __nv_bfloat16;
constexpr int kWidth = 8;  // elements of an item of 16 bytes

// Every rank has all rows of all ranks in its inbox, and so the whole result: no rank waits twice.
// Threads hold what those of rms_norm hold, and add in the same order: the same bytes.
template <typename Out, int kHeld>
__global__ void __launch_bounds__(512) reduce_norm_kernel(device::PeerLinks links, NormRows rows) {
  using Vec = device::Vec<T, kWidth>;
  device::launch_dependents();
  const int64_t row = blockIdx.x;
  const auto* const x =
      reinterpret_cast<const uint4*>(static_cast<const T*>(rows.x) + row * rows.x_stride);
  const T* const residual = static_cast<const T*>(rows.residual) + row * rows.residual_stride;
  T* const sum = static_cast<T*>(rows.sum) + row * rows.sum_stride;
  Out* const y = static_cast<Out*>(rows.y) + row * rows.y_stride;
  const T* const weight = static_cast<const T*>(rows.weight);
  const int items = rows.width / kWidth;
  Vec values[kHeld], others[kHeld], weights[kHeld];
  const auto for_slots = [&](auto function) {
#pragma unroll
    for (int slot = 0; slot < kHeld; ++slot) {
      const int item = threadIdx.x + slot * blockDim.x;
      if (item < items) function(slot, item);
    }
  };
  for_slots([&](int slot, int item) {
    weights[slot] = device::load_vec<kWidth>(weight + item * kWidth);
  });
  device::wait_for_dependencies();
  const uint32_t call = device::this_call(links, device::kPushChannel);
  uint4 own[kHeld];
  for_slots([&](int slot, int item) { own[slot] = x[item]; });
  for_slots(
      [&](int slot, int item) { device::push_item(links, own[slot], row * items + item, call); });
  for_slots([&](int slot, int item) {
    others[slot] = device::load_vec<kWidth>(residual + item * kWidth);
  });
  const float scale = rows.output_scale != nullptr ? *rows.output_scale : 1.0f;
  float squares = 0.0f;
  for_slots([&](int slot, int item) {
    device::RankSum<T> total;
    // A rank that does not come leaves garbage, of which the host learns in time.
    device::sum_items(links, own[slot], row * items + item, call, total);
    values[slot] = device::add_rounded(total.rounded_term(), others[slot]);
    *reinterpret_cast<Vec*>(sum + item * kWidth) = values[slot];
    squares = device::add_squares(squares, values[slot]);
  });
  const float factor = device::norm_factor(squares, rows.inverse_width, rows.epsilon);
  const float inverse = __frcp_rn(scale);
  for_slots([&](int slot, int item) {
    device::write_normed(y + item * kWidth, values[slot], weights[slot], factor, inverse);
  });
  device::end_call(links, device::kPushChannel, call);
}

}  // namespace

void launch_reduce_norm(const PeerLinks& links, const NormRows& rows, const Launch& where) {
  const NormLayout layout = norm_layout(rows.width, kWidth);
  Grid grid;
  grid.blocks = dim3(static_cast<unsigned>(rows.rows));
  grid.threads = layout.threads;
  const auto with = [&]<typename Out>(Out) {
    if (layout.held == 1) return launch(where, grid, reduce_norm_kernel<Out, 1>, links, rows);
    if (layout.held == 2) return launch(where, grid, reduce_norm_kernel<Out, 2>, links, rows);
    launch(where, grid, reduce_norm_kernel<Out, 4>, links, rows);
  };
  dispatch_output<T>(rows.output, with);
}

}  // namespace octavo::cuda
