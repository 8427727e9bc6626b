// The table of the CPU backend's kernels.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/kernels.h"

#include <vector>

#include "backend/cpu/grouped_linear.h"
#include "backend/cpu/linear.h"
#include "backend/cpu/op_kernels.h"

namespace octavo {

namespace {

std::vector<Kernel> make_table() {
  std::vector<Kernel> table = {
      kCpuEmbedding,     kCpuRmsNorm,          kCpuAdd,
      kCpuAddRmsNorm,    kCpuQuantize,         kCpuQuantizeDynamic,
      kCpuRope,          kCpuKvAppend,         kCpuRopeKvAppend,
      kCpuAttention,     kCpuSwiglu,           kCpuGatherRows,
      kCpuRoute,         kCpuPermute,          kCpuGroupedQuantize,
      kCpuGroupedSwiglu, kCpuCombine,          kCpuAllReduce,
      kCpuReduceScatter, kCpuAllGather,        kCpuSend,
      kCpuRecv,          kCpuLinearSwiglu,     kCpuAllReduceAddRmsNorm,
      kCpuRopeAttention, kCpuAddRmsNormLinear,
  };
  const std::span<const Kernel> linear = linear_kernels();
  table.insert(table.end(), linear.begin(), linear.end());
  const std::span<const Kernel> grouped = grouped_linear_kernels();
  table.insert(table.end(), grouped.begin(), grouped.end());
  table.push_back(kCpuGroupedLinearSwiglu);
  table.insert(table.end(), {kCpuRmsNormReference, kCpuRopeReference, kCpuSwigluReference,
                             kCpuAttentionReference});
  return table;
}

}  // namespace

std::span<const Kernel> cpu_kernels() {
  static const std::vector<Kernel> table = make_table();
  return table;
}

}  // namespace octavo
