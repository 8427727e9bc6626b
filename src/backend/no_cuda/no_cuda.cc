// The absence of CUDA: an empty table of kernels and no device.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/comm/nccl_group.h"
#include "backend/cuda/comm/peer_group.h"
#include "backend/cuda/cuda_device.h"
#include "backend/cuda/kernels.h"
#include "core/error.h"

namespace octavo {

bool has_cuda_backend() { return false; }

std::span<const Kernel> cuda_kernels() { return {}; }

const DeviceKernels* cuda_device_kernels() { return nullptr; }

std::vector<DeviceProperties> cuda_devices() { return {}; }

bool cuda_devices_reach(int, int) { return false; }

std::unique_ptr<Device> open_cuda_device(int) {
  throw Error(ErrorCategory::kUnsupported, "this program was built without the CUDA backend");
}

std::vector<std::shared_ptr<Communicator>> open_peer_group(std::span<const std::shared_ptr<Device>>,
                                                           const PeerGroupOptions&) {
  throw Error(ErrorCategory::kUnsupported, "this program was built without the CUDA backend");
}

NcclLibrary nccl_library() { return {.text = "this program was built without the CUDA backend"}; }

std::shared_ptr<Communicator> open_nccl_rank(Device&, std::shared_ptr<ProcessGroup>,
                                             const RankPlace&) {
  throw Error(ErrorCategory::kUnsupported, "this program was built without the CUDA backend");
}

}  // namespace octavo
