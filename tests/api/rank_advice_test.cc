// What doctor says of several GPUs.
// SPDX-License-Identifier: Apache-2.0
#include "api/rank_advice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/cuda/cuda_device.h"

namespace octavo {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(RankAdvice, OneGpuNeedsNone) {
  EXPECT_EQ(rank_advice({.gpus = 0, .apart = {}}), "");
  EXPECT_EQ(rank_advice({.gpus = 1, .apart = {}}), "");
}

TEST(RankAdvice, SaysWhichWhen) {
  const std::string text = rank_advice({.gpus = 4, .apart = {}});
  EXPECT_THAT(text, HasSubstr("4 GPUs reach each other's memory"));
  EXPECT_THAT(text, HasSubstr("--tp_size N"));
  EXPECT_THAT(text, HasSubstr("--pp_size N"));
}

TEST(RankAdvice, NamesThoseThatCannotShareAModel) {
  const std::string text = rank_advice({.gpus = 3, .apart = {{0, 2}}});
  EXPECT_THAT(text, HasSubstr("GPUs 0 and 2 do not reach each other's memory"));
  EXPECT_THAT(text, Not(HasSubstr("3 GPUs reach")));
}

TEST(RankAdvice, KnowsThisMachine) {
  const GpuPeers peers = gpu_peers();
  EXPECT_EQ(peers.gpus, std::ssize(cuda_devices()));
  EXPECT_LE(std::ssize(peers.apart), peers.gpus * peers.gpus / 2);
}

}  // namespace
}  // namespace octavo
