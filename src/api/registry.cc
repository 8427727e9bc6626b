// Composition of the kernel registry.
// SPDX-License-Identifier: Apache-2.0
#include "api/registry.h"

#include "backend/cpu/kernels.h"
#include "backend/cuda/kernels.h"

namespace octavo {

const KernelRegistry& kernel_registry() {
  static const KernelRegistry registry = [] {
    KernelRegistry all;
    all.add(cpu_kernels());
    all.add(cuda_kernels());
    if (const DeviceKernels* beside = cuda_device_kernels()) all.add(*beside);
    return all;
  }();
  return registry;
}

}  // namespace octavo
