// Runs CPU kernels on host tensors.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/kernels.h"
#include "ops/op_case.h"

namespace octavo::testing_ops {

inline const Kernel& cpu_kernel(Op op) {
  for (const Kernel& kernel : cpu_kernels()) {
    if (kernel.op == op) return kernel;
  }
  throw Error(ErrorCategory::kInternal, "no such kernel");
}

inline const Kernel& cpu_kernel(std::string_view name) {
  for (const Kernel& kernel : cpu_kernels()) {
    if (kernel.name == name) return kernel;
  }
  throw Error(ErrorCategory::kInternal, "no such kernel");
}

// Runs the case with its outputs as they are: the results replace them.
inline void run_on_cpu(const Kernel& kernel, OpCase& one, int threads = 2) {
  ThreadPool pool(threads);
  std::vector<TensorView> inputs, outputs;
  for (const HostTensor& tensor : one.inputs) inputs.push_back(tensor.view());
  for (const HostTensor& tensor : one.outputs) outputs.push_back(tensor.view());
  const int64_t bytes = kernel.workspace == nullptr ? 0 : kernel.workspace(one.problem());
  std::vector<std::byte> workspace(static_cast<size_t>(bytes));
  kernel.run({inputs, outputs, &one.params}, {.pool = &pool, .workspace = workspace});
}
inline void run_on_cpu(OpCase& one, int threads = 2) {
  run_on_cpu(cpu_kernel(one.op), one, threads);
}

inline std::vector<HostTensor> results(Op op, OpParams params, std::vector<HostTensor> inputs,
                                       std::vector<HostTensor> outputs) {
  OpCase one{
      .op = op, .params = params, .inputs = std::move(inputs), .outputs = std::move(outputs)};
  run_on_cpu(one);
  return one.outputs;
}

// The bytes of the elements, without the padding.
inline std::vector<std::byte> bytes_of(const HostTensor& tensor) {
  std::vector<std::byte> out;
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    const auto* at = tensor.storage().data() + tensor.byte_of(i);
    out.insert(out.end(), at, at + size_of(tensor.dtype()));
  }
  return out;
}

}  // namespace octavo::testing_ops
