// Replayed graphs of GPU ranks give the same bytes, however late ranks come.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/comm/peer_group.h"

#include <gtest/gtest.h>

#include <atomic>

#include "backend/cuda/delay.h"
#include "backend/cuda/peer_case.h"

namespace octavo::testing {
namespace {

using PeerGraphs = PeersTest;

// The numbers of calls that are flags go on from replay to replay; ranks come late at random.
TEST_P(PeerGraphs, GraphsGiveTheSameBytesHoweverLateRanksCome) {
  // Streams of one GPU may share a queue, and then one rank's work stands before another's.
  if (!group_->apart()) GTEST_SKIP() << "fewer GPUs than ranks";
  constexpr int kReplays = 2501;
  const Shape small = {1, 8192}, large = {8, 8192};
  const std::vector<Tensor> x = inputs(DType::kBF16, large, 21);
  std::vector<Tensor> first, last;
  for (int64_t rank = 0; rank < GetParam(); ++rank) {
    first.emplace_back(DType::kBF16, large);
    last.emplace_back(DType::kBF16, large);
  }
  std::atomic<int64_t> different{0};
  group_->on_all([&](int64_t rank) {
    Device& device = group_->device(rank);
    Communicator& comm = group_->comm(rank);
    const auto from = device.allocate(x[rank].bytes()), middle = device.allocate(x[rank].bytes()),
               to = device.allocate(x[rank].bytes());
    device.upload(from.get(), x[rank].data(), x[rank].bytes());
    RandomDelays delays(static_cast<uint32_t>(rank), static_cast<cudaStream_t>(device.stream()));
    const auto graph = device.capture([&] {
      // Two layers: what is summed is summed again, pushed and shared in turns.
      delays.launch();
      comm.all_reduce({from.get(), DType::kBF16, large}, {middle.get(), DType::kBF16, large});
      comm.all_reduce({middle.get(), DType::kBF16, small}, {to.get(), DType::kBF16, small});
      delays.launch();
      comm.all_reduce({middle.get(), DType::kBF16, large}, {to.get(), DType::kBF16, large});
      comm.all_reduce({to.get(), DType::kBF16, small}, {middle.get(), DType::kBF16, small});
    });
    graph->launch();
    device.download(first[rank].data(), to.get(), first[rank].bytes());
    device.synchronize();
    for (int replay = 1; replay < kReplays; ++replay) {
      graph->launch();
      if (replay % 50 != 0) continue;
      comm.check();
      device.download(last[rank].data(), to.get(), last[rank].bytes());
      device.synchronize();
      different += std::memcmp(first[rank].data(), last[rank].data(),
                               static_cast<size_t>(first[rank].bytes())) != 0;
    }
  });
  EXPECT_EQ(different, 0);
  for (const Tensor& one : first) expect_same_bytes(one, first[0], "ranks");
}

INSTANTIATE_TEST_SUITE_P(Ranks, PeerGraphs, ::testing::Values(2, 4),
                         [](const auto& info) { return fmt::format("{}", info.param); });

}  // namespace
}  // namespace octavo::testing
