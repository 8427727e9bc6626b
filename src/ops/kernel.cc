// The registry of all kernels.
// SPDX-License-Identifier: Apache-2.0
#include "ops/kernel.h"

#include "ops/device_kernels.h"

namespace octavo {

Verdict KernelTarget::runs(const Kernel& kernel) const {
  const KernelTraits& traits = kernel.traits;
  if (traits.device != device) return Verdict::no(fmt::format("for {}", to_string(traits.device)));
  if (traits.only_major == 0 || compute_capability == 0 ||
      compute_capability / 10 == traits.only_major)
    return Verdict::yes();
  return Verdict::no(fmt::format("for compute capability {}.x, the device has {}.{}",
                                 traits.only_major, compute_capability / 10,
                                 compute_capability % 10));
}

std::vector<const Kernel*> KernelRegistry::candidates(const Problem& problem,
                                                      const KernelTarget& target) const {
  std::vector<const Kernel*> found;
  std::string reasons;
  for (const Kernel& kernel : kernels_) {
    if (kernel.op != problem.op || kernel.traits.device != target.device) continue;
    Verdict verdict = target.runs(kernel);
    if (verdict.supported) verdict = kernel.supports(problem);
    if (verdict.supported) {
      found.push_back(&kernel);
    } else {
      reasons += fmt::format("\n  {}: {}", kernel.name, verdict.reason);
    }
  }
  if (found.empty()) {
    throw Error(ErrorCategory::kUnsupported,
                fmt::format("[{}] no {} kernel can run this call{}", to_string(problem.op),
                            to_string(target.device),
                            reasons.empty() ? " (there is none)" : ":" + reasons));
  }
  return found;
}

const DeviceKernels* KernelRegistry::beside(const KernelTarget& target) const {
  for (const DeviceKernels* kernels : device_kernels_) {
    const bool new_enough = target.compute_capability == 0 ||
                            target.compute_capability >= kernels->least_compute_capability;
    if (kernels->device == target.device && new_enough) return kernels;
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
