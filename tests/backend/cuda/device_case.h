// Cases of tests/ops on the device: a whole call with its padding, and the same on the CPU.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstring>

#include "backend/cpu/kernels.h"
#include "backend/cuda/device_call.h"
#include "ops/op_case.h"

namespace octavo::testing {

// Runs the case on copies of its outputs in device memory, every operand between guards.
inline std::vector<testing_ops::HostTensor> run_on_device(const Kernel& kernel,
                                                          const testing_ops::OpCase& one) {
  std::vector<std::unique_ptr<DeviceBuffer>> buffers;
  const auto upload = [&](const std::vector<testing_ops::HostTensor>& tensors) {
    std::vector<TensorView> views;
    for (const testing_ops::HostTensor& tensor : tensors) {
      views.push_back(tensor.view());
      if (!tensor.present()) continue;
      const auto bytes = static_cast<int64_t>(tensor.storage().size());
      buffers.push_back(std::make_unique<DeviceBuffer>(bytes));
      views.back().data = buffers.back()->data();
      OCTAVO_CUDA_CHECK(cudaMemcpy(views.back().data, tensor.storage().data(),
                                   tensor.storage().size(), cudaMemcpyHostToDevice));
    }
    return views;
  };
  std::vector<testing_ops::HostTensor> outputs = one.outputs;
  const std::vector<TensorView> inputs = upload(one.inputs), views = upload(outputs);
  const int64_t bytes = kernel.workspace == nullptr ? 0 : kernel.workspace(one.problem());
  DeviceBuffer workspace(bytes);
  kernel.run({inputs, views, &one.params},
             {.workspace = {workspace.data(), static_cast<size_t>(bytes)}});
  OCTAVO_CUDA_CHECK(cudaDeviceSynchronize());
  for (size_t i = 0; i < outputs.size(); ++i)
    OCTAVO_CUDA_CHECK(cudaMemcpy(outputs[i].storage().data(), views[i].data,
                                 outputs[i].storage().size(), cudaMemcpyDeviceToHost));
  for (const auto& buffer : buffers) EXPECT_TRUE(buffer->guards_intact()) << kernel.name;
  return outputs;
}

// The same by the CPU's first kernel.
inline std::vector<testing_ops::HostTensor> run_on_host(const testing_ops::OpCase& one) {
  static ThreadPool pool(2);
  KernelRegistry registry;
  registry.add(cpu_kernels());
  const Problem problem = one.problem();
  const Kernel& kernel = *registry.candidates(problem, DeviceType::kCpu).front();
  std::vector<testing_ops::HostTensor> outputs = one.outputs;
  std::vector<TensorView> inputs, views;
  for (const testing_ops::HostTensor& tensor : one.inputs) inputs.push_back(tensor.view());
  for (const testing_ops::HostTensor& tensor : outputs) views.push_back(tensor.view());
  std::vector<std::byte> workspace(
      static_cast<size_t>(kernel.workspace == nullptr ? 0 : kernel.workspace(problem)));
  kernel.run({inputs, views, &one.params}, {.pool = &pool, .workspace = workspace});
  return outputs;
}

// Every case of the grid that the kernel supports lies within its intervals.
inline void expect_within_intervals(std::string_view name,
                                    const std::vector<testing_ops::OpCase>& cases) {
  const Kernel& kernel = cuda_kernel(name);
  int supported = 0;
  for (const testing_ops::OpCase& one : cases) {
    SCOPED_TRACE(one.name);
    if (!kernel.supports(one.problem()).supported) continue;
    ++supported;
    const auto outputs = run_on_device(kernel, one);
    for (size_t i = 0; i < outputs.size(); ++i)
      testing_ops::check_output(one.outputs[i], outputs[i], one.expected[i]);
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(supported, 0) << name;
}

// Where both have a float that is no number: which one arithmetic gives differs by processor.
inline void take_bits_of_nan(testing_ops::HostTensor& to, const testing_ops::HostTensor& from) {
  if (from.dtype() != DType::kF32 && from.dtype() != DType::kBF16) return;
  for (int64_t i = 0; i < from.elements(); ++i) {
    if (std::isnan(from.get(i)) && std::isnan(to.get(i)))
      std::memcpy(to.storage().data() + to.byte_of(i), from.storage().data() + from.byte_of(i),
                  static_cast<size_t>(size_of(from.dtype())));
  }
}

// The outputs of those indices have the CPU's bytes, and nothing beside their elements was written.
inline void expect_bytes_of_cpu(std::string_view name, const testing_ops::OpCase& one,
                                const std::vector<size_t>& indices) {
  SCOPED_TRACE(one.name);
  auto device = run_on_device(cuda_kernel(name), one);
  const auto host = run_on_host(one);
  for (const size_t i : indices) {
    ASSERT_EQ(device[i].storage().size(), host[i].storage().size());
    take_bits_of_nan(device[i], host[i]);
    EXPECT_EQ(
        std::memcmp(device[i].storage().data(), host[i].storage().data(), host[i].storage().size()),
        0)
        << name << ": output " << i;
  }
}

}  // namespace octavo::testing
