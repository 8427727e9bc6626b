// Tensors placed by reading and by filling.
// SPDX-License-Identifier: Apache-2.0
#include "model/place_tensor.h"

#include <gtest/gtest.h>

#include <cstring>

#include "core/host_device.h"
#include "model/tiny_model.h"

namespace octavo {
namespace {

int fills = 0;

TEST(PlaceTensor, ReadsChecksAndConverts) {
  ThreadPool pool(1);
  HostDevice device(pool);
  const ModelDir model = tiny_model();
  const std::string name = "model.embed_tokens.weight";
  const Tensor expected = read_tensor_as(*model.weights, name, DType::kF32);
  const Tensor to(DType::kF32, expected.shape());
  int checks = 0;
  EXPECT_EQ(place_tensor(*model.weights, name, to.view(), device, nullptr,
                         [&](const TensorView& read) { checks += read.rows() > 0; }),
            expected.bytes());
  EXPECT_EQ(checks, 1);
  EXPECT_EQ(std::memcmp(to.data(), expected.data(), static_cast<size_t>(to.bytes())), 0);
}

TEST(PlaceTensor, LeavesAloneWhatDoesNotFit) {
  ThreadPool pool(1);
  HostDevice device(pool);
  const ModelDir model = tiny_model();
  const Tensor small(DType::kF32, {4});
  EXPECT_GT(
      place_tensor(*model.weights, "model.embed_tokens.weight", small.view(), device, nullptr),
      small.bytes());
  EXPECT_EQ(small.as<float>()[3], 0.0f);
}

TEST(PlaceTensor, ADeviceFillsWhatFollowsFromAPattern) {
  struct Patterned final : WeightSource {
    std::vector<std::string> names() const override { return {"x"}; }
    std::optional<WeightInfo> info(std::string_view) const override {
      return WeightInfo{DType::kF32, {6}};
    }
    std::optional<FillPattern> fill_of(std::string_view) const override {
      return FillPattern{.dtype = DType::kF32, .seed = 5, .random = true};
    }
    void read(std::string_view, int64_t, std::span<std::byte>) const override { FAIL(); }
  };
  const DeviceKernels kernels = {.device = DeviceType::kCpu,
                                 .fill = [](const Fill& fill, const LaunchContext&) {
                                   ++fills;
                                   EXPECT_EQ(fill.pattern.seed, 5u);
                                   EXPECT_EQ(fill.count, 6);
                                 }};
  ThreadPool pool(1);
  HostDevice device(pool);
  const Tensor to(DType::kF32, {6});
  EXPECT_EQ(place_tensor(Patterned(), "x", to.view(), device, &kernels), 24);
  EXPECT_EQ(fills, 1);
}

}  // namespace
}  // namespace octavo
