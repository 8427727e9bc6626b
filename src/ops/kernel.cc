// The registry of all kernels.
// SPDX-License-Identifier: Apache-2.0
#include "ops/kernel.h"

#include "ops/device_kernels.h"

namespace octavo {

std::vector<const Kernel*> KernelRegistry::candidates(const Problem& problem,
                                                      DeviceType device) const {
  std::vector<const Kernel*> found;
  std::string reasons;
  for (const Kernel& kernel : kernels_) {
    if (kernel.op != problem.op || kernel.traits.device != device) continue;
    const Verdict verdict = kernel.supports(problem);
    if (verdict.supported) {
      found.push_back(&kernel);
    } else {
      reasons += fmt::format("\n  {}: {}", kernel.name, verdict.reason);
    }
  }
  if (found.empty()) {
    throw Error(
        ErrorCategory::kUnsupported,
        fmt::format("[{}] no {} kernel can run this call{}", to_string(problem.op),
                    to_string(device), reasons.empty() ? " (there is none)" : ":" + reasons));
  }
  return found;
}

const DeviceKernels* KernelRegistry::beside(DeviceType device) const {
  for (const DeviceKernels* kernels : device_kernels_) {
    if (kernels->device == device) return kernels;
  }
  return nullptr;
}

const Kernel* KernelRegistry::find(std::string_view name) const {
  for (const Kernel& kernel : kernels_) {
    if (kernel.name == name) return &kernel;
  }
  return nullptr;
}

}  // namespace octavo
