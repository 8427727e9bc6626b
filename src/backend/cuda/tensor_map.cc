// Tensor maps, encoded by the driver, which is found at run time: nothing links against it.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/tensor_map.h"

#include "backend/cuda/cuda_check.h"
#include "core/error.h"

namespace octavo::cuda {
namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

Encode find_encode() {
  constexpr unsigned kVersion = 12000;  // of the driver interface that brought it
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  OCTAVO_CUDA_CHECK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, kVersion,
                                                     cudaEnableDefault, &found));
  if (found != cudaDriverEntryPointSuccess || function == nullptr)
    throw Error(ErrorCategory::kDevice, "[cuda] the driver has no cuTensorMapEncodeTiled");
  return reinterpret_cast<Encode>(function);
}

}  // namespace

CUtensorMap make_tensor_map(const TensorMapSpec& spec) {
  static const Encode kEncode = find_encode();
  constexpr uint32_t kDense[5] = {1, 1, 1, 1, 1};
  // The driver asks for multiples of 16 bytes where nothing lies a stride on, too.
  uint64_t strides[4] = {};
  for (int i = 0; i + 1 < spec.rank; ++i)
    strides[i] = spec.sizes[i + 1] > 1 ? spec.strides[i] : (spec.strides[i] + 15) / 16 * 16;
  // No promotion: fetching 256 bytes at a time costs 5 % of the streaming rate
  // (docs/performance.md).
  CUtensorMap map = {};
  const CUresult status =
      kEncode(&map, spec.type, static_cast<uint32_t>(spec.rank), const_cast<void*>(spec.data),
              spec.sizes, strides, spec.box, kDense, CU_TENSOR_MAP_INTERLEAVE_NONE, spec.swizzle,
              CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS)
    throw Error(ErrorCategory::kDevice,
                fmt::format("[cuda] cuTensorMapEncodeTiled: error {} for a tensor of {} × {} with "
                            "{} bytes a row at {}",
                            static_cast<int>(status), spec.sizes[1], spec.sizes[0], spec.strides[0],
                            spec.data));
  return map;
}

}  // namespace octavo::cuda
