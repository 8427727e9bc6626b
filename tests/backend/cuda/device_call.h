// Calls of CUDA kernels in tests: host tensors to the device and back, poisoned and guarded.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

#include "backend/cuda/cuda_check.h"
#include "backend/cuda/kernels.h"
#include "numerics/bf16.h"
#include "numerics/e4m3.h"
#include "numerics/scale.h"

namespace octavo::testing {

inline bool has_device() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}

#define OCTAVO_REQUIRE_DEVICE() \
  if (!::octavo::testing::has_device()) GTEST_SKIP() << "no CUDA device"

inline const Kernel& cuda_kernel(std::string_view name) {
  for (const Kernel& kernel : cuda_kernels()) {
    if (kernel.name == name) return kernel;
  }
  throw std::out_of_range(std::string(name));
}

inline float element(const TensorView& view, int64_t index) {
  switch (view.dtype) {
    case DType::kBF16:
      return to_float(view.as<bf16>()[index]);
    case DType::kE4M3:
      return to_float(view.as<e4m3>()[index]);
    default:
      return view.as<float>()[index];
  }
}

inline void set_element(const TensorView& view, int64_t index, float value) {
  switch (view.dtype) {
    case DType::kBF16:
      view.as<bf16>()[index] = to_bf16(value);
      return;
    case DType::kE4M3:
      view.as<e4m3>()[index] = to_e4m3(value);
      return;
    default:
      view.as<float>()[index] = value;
  }
}

// Random tensors from one seed.
class Values {
 public:
  explicit Values(uint32_t seed) : engine_(seed) {}

  Tensor normal(DType dtype, Shape shape, float deviation = 1.0f) {
    Tensor tensor(dtype, shape);
    std::normal_distribution<float> distribution(0.0f, deviation);
    for (int64_t i = 0; i < shape.elements(); ++i)
      set_element(tensor.view(), i, distribution(engine_));
    return tensor;
  }
  // Integers of -limit … limit: products and their sums are exact.
  Tensor integers(DType dtype, Shape shape, int limit) {
    Tensor tensor(dtype, shape);
    for (int64_t i = 0; i < shape.elements(); ++i)
      set_element(tensor.view(), i, static_cast<float>(below(2 * limit + 1) - limit));
    return tensor;
  }
  int below(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(engine_); }
  std::mt19937& engine() { return engine_; }

 private:
  std::mt19937 engine_;
};

inline Tensor scalar(float value) {
  Tensor tensor(DType::kF32, {1});
  tensor.as<float>()[0] = value;
  return tensor;
}

template <typename T>
Tensor vector_of(DType dtype, const std::vector<T>& values) {
  Tensor tensor(dtype, {static_cast<int64_t>(values.size())});
  std::memcpy(tensor.data(), values.data(), values.size() * sizeof(T));
  return tensor;
}

// Device memory of one operand with a guard of 256 bytes at either end.
class DeviceBuffer {
 public:
  explicit DeviceBuffer(int64_t bytes) : bytes_(bytes) {
    OCTAVO_CUDA_CHECK(cudaMalloc(reinterpret_cast<void**>(&base_), bytes + 2 * kGuard));
    OCTAVO_CUDA_CHECK(cudaMemset(base_, kPoison, bytes + 2 * kGuard));
  }
  ~DeviceBuffer() { cudaFree(base_); }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  std::byte* data() const { return base_ + kGuard; }
  bool guards_intact() const {
    std::vector<uint8_t> all(bytes_ + 2 * kGuard);
    OCTAVO_CUDA_CHECK(cudaMemcpy(all.data(), base_, all.size(), cudaMemcpyDeviceToHost));
    for (int64_t i = 0; i < kGuard; ++i) {
      if (all[i] != kPoison || all[all.size() - 1 - i] != kPoison) return false;
    }
    return true;
  }

 private:
  static constexpr int64_t kGuard = 256;
  static constexpr uint8_t kPoison = 0xFF;  // NaN in every float type
  std::byte* base_ = nullptr;
  int64_t bytes_;
};

// One call of a kernel. Inputs and in/out tensors are copied to the device; `columns` of an operand
// may be a slice of wider rows.
class DeviceCall {
 public:
  DeviceCall& in(const Tensor& tensor) { return add(inputs_, tensor, false); }
  DeviceCall& none() {
    inputs_.emplace_back();
    return *this;
  }
  DeviceCall& out(const Tensor& tensor) { return add(outputs_, tensor, false); }  // poisoned
  DeviceCall& in_out(const Tensor& tensor) { return add(outputs_, tensor, true); }
  DeviceCall& params(OpParams params) {
    params_ = std::move(params);
    return *this;
  }
  DeviceCall& tactic(std::string name) {
    tactic_ = std::move(name);
    return *this;
  }
  // Rows of the operands lie `extra` elements further apart than they are wide.
  DeviceCall& pitch(int64_t extra) {
    pitch_ = extra;
    return *this;
  }

  Problem problem(Op op) const {
    Problem problem;
    problem.op = op;
    problem.params = params_;
    const auto describe = [](const TensorView& view) {
      return Problem::Operand{view.shape, view.dtype, view.defined()};
    };
    for (const TensorView& view : inputs_) problem.inputs.push_back(describe(view));
    for (const TensorView& view : outputs_) problem.outputs.push_back(describe(view));
    return problem;
  }

  // Runs the kernel by name and copies every output back into its host tensor.
  void run(std::string_view name) {
    const Kernel& kernel = cuda_kernel(name);
    const Problem asked = problem(kernel.op);
    const Verdict verdict = kernel.supports(asked);
    ASSERT_TRUE(verdict.supported) << name << ": " << verdict.reason;
    const int64_t bytes = kernel.workspace != nullptr ? kernel.workspace(asked) : 0;
    DeviceBuffer workspace(bytes);
    LaunchContext context;
    context.tactic = tactic_;
    context.workspace = {workspace.data(), static_cast<size_t>(bytes)};
    kernel.run({inputs_, outputs_, &params_}, context);
    OCTAVO_CUDA_CHECK(cudaDeviceSynchronize());
    for (const Fetch& fetch : fetches_) copy_rows(fetch.host, fetch.device, false);
    for (const auto& buffer : buffers_) ASSERT_TRUE(buffer->guards_intact()) << name;
    ASSERT_TRUE(workspace.guards_intact()) << name;
  }

 private:
  struct Fetch {
    TensorView host;
    TensorView device;
  };

  DeviceCall& add(std::vector<TensorView>& list, const Tensor& tensor, bool filled) {
    const bool is_input = &list == &inputs_;
    TensorView view = tensor.view();
    const bool strided = view.shape.rank() == 2;
    if (strided) view.row_stride += pitch_;
    const int64_t rows = view.shape.rank() == 0 ? 1 : std::max<int64_t>(view.shape[0], 1);
    const int64_t span = rows * std::max<int64_t>(view.row_stride, 1) * size_of(view.dtype);
    buffers_.push_back(std::make_unique<DeviceBuffer>(span));
    view.data = buffers_.back()->data();
    if (is_input || filled) copy_rows(tensor.view(), view, true);
    if (!is_input) fetches_.push_back({tensor.view(), view});
    list.push_back(view);
    return *this;
  }

  static void copy_rows(const TensorView& host, const TensorView& device, bool to_device) {
    if (host.elements() == 0) return;
    const size_t row = host.columns() * size_of(host.dtype);
    const size_t host_pitch = host.row_stride * size_of(host.dtype);
    const size_t device_pitch = device.row_stride * size_of(device.dtype);
    if (to_device) {
      OCTAVO_CUDA_CHECK(cudaMemcpy2D(device.data, device_pitch, host.data, host_pitch, row,
                                     host.rows(), cudaMemcpyHostToDevice));
    } else {
      OCTAVO_CUDA_CHECK(cudaMemcpy2D(host.data, host_pitch, device.data, device_pitch, row,
                                     host.rows(), cudaMemcpyDeviceToHost));
    }
  }

  std::vector<TensorView> inputs_, outputs_;
  std::vector<std::unique_ptr<DeviceBuffer>> buffers_;
  std::vector<Fetch> fetches_;
  OpParams params_;
  std::string tactic_;
  int64_t pitch_ = 0;
};

inline void expect_same_bytes(const Tensor& a, const Tensor& b, std::string_view what) {
  ASSERT_EQ(a.bytes(), b.bytes());
  int64_t wrong = 0;
  int64_t first = -1;
  for (int64_t i = 0; i < a.bytes(); ++i) {
    if (a.data()[i] == b.data()[i]) continue;
    if (wrong++ == 0) first = i;
  }
  EXPECT_EQ(wrong, 0) << what << ": first at byte " << first << ", "
                      << (first < 0 ? 0 : static_cast<int>(a.data()[first])) << " and "
                      << (first < 0 ? 0 : static_cast<int>(b.data()[first]));
}

// |got - expected| ≤ relative × |expected| + absolute for every element; NaN never passes.
inline void expect_close(const Tensor& got, const std::vector<double>& expected, double relative,
                         double absolute, std::string_view what) {
  int64_t wrong = 0;
  for (int64_t i = 0; i < got.shape().elements(); ++i) {
    const double value = element(got.view(), i);
    if (std::abs(value - expected[i]) <= relative * std::abs(expected[i]) + absolute) continue;
    if (wrong++ == 0)
      ADD_FAILURE() << what << ": at " << i << " got " << value << ", expected " << expected[i]
                    << ", bound " << relative * std::abs(expected[i]) + absolute;
  }
  EXPECT_EQ(wrong, 0) << what;
}

inline double epsilon_of(DType dtype) {  // half an ulp, relative
  return dtype == DType::kBF16 ? 0x1p-8 : 0x1p-24;
}

}  // namespace octavo::testing
