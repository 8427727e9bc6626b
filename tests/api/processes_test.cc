// What launchers ask for against what the model needs.
// SPDX-License-Identifier: Apache-2.0
#include "api/processes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "core/error.h"
#include "octavo/llm.h"

namespace octavo {
namespace {

using testing::HasSubstr;

// Variables that are gone when the test ends.
struct Launched {
  explicit Launched(std::map<std::string, std::string> set) : variables(std::move(set)) {
    for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
  }
  ~Launched() {
    for (const auto& [name, value] : variables) unsetenv(name.c_str());
  }
  std::map<std::string, std::string> variables;
};
std::map<std::string, std::string> as_rank(const std::string& rank) {
  return {{"RANK", rank},
          {"WORLD_SIZE", "4"},
          {"LOCAL_RANK", rank},
          {"MASTER_ADDR", "127.0.0.1"},
          {"MASTER_PORT", "29511"}};
}

std::string refusal(const std::string& communicator, const std::string& device, int64_t tp_size,
                    int64_t pp_size, ErrorCategory category) {
  try {
    EXPECT_EQ(open_processes(communicator, device, tp_size, pp_size), nullptr);
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), category) << error.what();
    return error.what();
  }
  return "";
}

TEST(Processes, WithoutLauncherThereIsOne) {
  EXPECT_EQ(refusal("auto", "cuda", 4, 1, ErrorCategory::kInternal), "");
  EXPECT_EQ(refusal("peer", "cpu", 1, 1, ErrorCategory::kInternal), "");
  EXPECT_THAT(refusal("nccl", "cuda", 4, 1, ErrorCategory::kEnvironment),
              HasSubstr("--communicator nccl: expected RANK, WORLD_SIZE and LOCAL_RANK"));
  EXPECT_FALSE(follows_another_process({}));
  EXPECT_NO_THROW(expect_one_process("octavo build"));
}

TEST(Processes, OtherCommunicatorsAreRefused) {
  EXPECT_THAT(refusal("mpi", "cuda", 4, 1, ErrorCategory::kUsage),
              HasSubstr("expected auto|peer|nccl, got \"mpi\""));
}

TEST(Processes, SizesThatDifferAreNamed) {
  const Launched launched(as_rank("1"));
  EXPECT_THAT(refusal("auto", "cuda", 2, 1, ErrorCategory::kEnvironment),
              HasSubstr("WORLD_SIZE: expected 2, which is --tp_size 2 × --pp_size 1, got 4"));
  EXPECT_THAT(refusal("nccl", "cuda", 4, 2, ErrorCategory::kEnvironment), HasSubstr("expected 8"));
  EXPECT_EQ(refusal("peer", "cuda", 2, 1, ErrorCategory::kInternal), "");
}

TEST(Processes, TheCpuHasThreads) {
  const Launched launched(as_rank("1"));
  EXPECT_THAT(refusal("auto", "cpu", 2, 2, ErrorCategory::kUnsupported),
              HasSubstr("processes share a model on GPUs alone"));
}

TEST(Processes, WhoFollowsAndWhoIsAlone) {
  {
    const Launched launched(as_rank("1"));
    EXPECT_TRUE(follows_another_process({}));
    EXPECT_FALSE(follows_another_process({.communicator = "peer"}));
    try {
      expect_one_process("octavo build");
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
      EXPECT_THAT(error.what(), HasSubstr("octavo build runs in one process, WORLD_SIZE says"));
    }
  }
  const Launched launched(as_rank("0"));
  EXPECT_FALSE(follows_another_process({}));
}

TEST(Processes, TheFirstSamplesAndEveryRankHasOne) {
  for (const auto& [tp, pp] :
       {std::pair(1, 2), std::pair(2, 1), std::pair(2, 2), std::pair(2, 3)}) {
    std::vector<bool> taken(static_cast<size_t>(tp * pp));
    for (int64_t process = 0; process < tp * pp; ++process) {
      const RankPlace place = place_of(process, tp, pp);
      EXPECT_FALSE(taken[static_cast<size_t>(place.rank)]);
      taken[static_cast<size_t>(place.rank)] = true;
      EXPECT_EQ(place.index(), process % tp);
    }
    EXPECT_TRUE(place_of(0, tp, pp).is_last_stage());
    EXPECT_EQ(place_of(0, tp, pp).index(), 0);
  }
}

}  // namespace
}  // namespace octavo
