// Stages hand over what they send, in order.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/comm/pipeline.h"

#include <gtest/gtest.h>

#include "backend/cuda/peer_case.h"

namespace octavo::testing {
namespace {

TEST(PeerStages, HandOverWhatTheySendInOrder) {
  OCTAVO_REQUIRE_DEVICE();
  const PeerCase group(PeerGroupOptions{.pp_size = 2});
  constexpr int kSteps = 50;
  Values values(2);
  for (const Shape& shape : {Shape{1, 33}, Shape{300, 1024}}) {
    const Tensor x = values.normal(DType::kBF16, shape);
    Tensor y(DType::kBF16, shape);
    group.on_all([&](int64_t rank) {
      Device& device = group.device(rank);
      const auto memory = device.allocate(x.bytes());
      for (int step = 0; step < kSteps; ++step) {
        const TensorView view(memory.get(), DType::kBF16, shape);
        if (rank == 0) {
          x.as<uint16_t>()[0] = static_cast<uint16_t>(step);
          device.upload(memory.get(), x.data(), x.bytes());
          group.comm(0).send(view);
        } else {
          group.comm(1).recv(view);
          device.download(y.data(), memory.get(), y.bytes());
          device.synchronize();
          ASSERT_EQ(y.as<uint16_t>()[0], step);
        }
      }
      device.synchronize();  // what still runs uses the memory
    });
    expect_same_bytes(y, x, "what was sent");
  }
}

}  // namespace
}  // namespace octavo::testing
