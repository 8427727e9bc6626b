// A rank that does not come ends all by name.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/comm/peer_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "backend/cuda/peer_case.h"

namespace octavo::testing {
namespace {

TEST(PeerFaults, ARankThatDoesNotComeIsNamedAndNobodyHangs) {
  OCTAVO_REQUIRE_DEVICE();
  for (const int64_t bytes : {int64_t{1} << 20, int64_t{0}}) {  // pushed, and shared
    const PeerCase group(PeerGroupOptions{
        .tp_size = 2, .stall_limit = std::chrono::milliseconds(300), .push_bytes = bytes});
    const auto start = std::chrono::steady_clock::now();
    group.on_all([&](int64_t rank) {
      if (rank == 1) return;
      const auto memory = group.device(0).allocate(2 * 8192 * 2);
      for (int call = 0; call < 20; ++call)
        group.comm(0).all_reduce({memory.get(), DType::kBF16, {1, 8192}},
                                 {memory.get() + 8192 * 2, DType::kBF16, {1, 8192}});
    });
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
    try {
      group.comm(1).check();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kDevice);
      EXPECT_THAT(error.what(), ::testing::HasSubstr("rank 1 stalled: rank 0 waited 300 ms"));
    }
  }
}

TEST(PeerFaults, AnAbortEndsAllWaiting) {
  OCTAVO_REQUIRE_DEVICE();
  const PeerCase group(PeerGroupOptions{.tp_size = 2, .stall_limit = std::chrono::seconds(10)});
  const auto start = std::chrono::steady_clock::now();
  std::atomic<bool> waits = false;
  group.on_all([&](int64_t rank) {
    if (rank == 1) {
      while (!waits) std::this_thread::yield();
      return group.comm(1).abort();
    }
    const auto memory = group.device(0).allocate(2 * 64);
    group.comm(0).all_reduce({memory.get(), DType::kBF16, {1, 32}},
                             {memory.get() + 64, DType::kBF16, {1, 32}});
    waits = true;
  });
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
  EXPECT_THROW(group.comm(0).check(), Error);
}

}  // namespace
}  // namespace octavo::testing
