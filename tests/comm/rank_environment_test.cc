// What launchers say: every family, defaults, and values that are none.
// SPDX-License-Identifier: Apache-2.0
#include "comm/rank_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/error.h"

namespace octavo {
namespace {

using testing::HasSubstr;
using Variables = std::map<std::string, std::string>;

std::optional<RankEnvironment> read(const Variables& variables) {
  return rank_environment([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? "" : found->second;
  });
}

const Variables kTorch = {{"RANK", "3"},
                          {"WORLD_SIZE", "8"},
                          {"LOCAL_RANK", "1"},
                          {"MASTER_ADDR", "node-0"},
                          {"MASTER_PORT", "1234"}};

std::string refusal(Variables variables) {
  try {
    read(variables);
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kEnvironment);
    return error.what();
  }
  return "";
}

std::string refusal(const std::string& name, const std::string& value) {
  Variables variables = kTorch;
  variables[name] = value;
  return refusal(variables);
}

TEST(RankEnvironment, NothingIsOneProcess) { EXPECT_FALSE(read({}).has_value()); }

TEST(RankEnvironment, Torchrun) {
  const auto found = read(kTorch);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->rank, 3);
  EXPECT_EQ(found->size, 8);
  EXPECT_EQ(found->local_rank, 1);
  EXPECT_EQ(found->host, "node-0");
  EXPECT_EQ(found->port, 1234);
  EXPECT_EQ(found->size_variable, "WORLD_SIZE");
}

TEST(RankEnvironment, TheAgentsStoreKeepsItsPort) {
  Variables variables = kTorch;
  variables["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  EXPECT_EQ(read(variables)->port, 1235);
  variables["MASTER_PORT"] = "65535";
  EXPECT_THAT(refusal(variables), HasSubstr("MASTER_PORT"));
}

TEST(RankEnvironment, OpenMpiOnOneHostNeedsNoAddress) {
  Variables variables = {{"OMPI_COMM_WORLD_RANK", "1"},
                         {"OMPI_COMM_WORLD_SIZE", "4"},
                         {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}};
  EXPECT_EQ(read(variables)->host, "127.0.0.1");
  EXPECT_EQ(read(variables)->port, 29500);
  variables["OMPI_COMM_WORLD_LOCAL_SIZE"] = "2";
  EXPECT_EQ(refusal(variables), "MASTER_ADDR: expected the host of rank 0, got nothing");
}

TEST(RankEnvironment, Pmi) {
  const auto found = read(
      {{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}, {"MPI_LOCALRANKID", "0"}, {"MPI_LOCALNRANKS", "2"}});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->size, 2);
  EXPECT_EQ(found->rank_variable, "PMI_RANK");
}

TEST(RankEnvironment, TorchrunCountsBeforeMpi) {
  Variables variables = kTorch;
  variables["OMPI_COMM_WORLD_RANK"] = "0";
  variables["OMPI_COMM_WORLD_SIZE"] = "1";
  EXPECT_EQ(read(variables)->size, 8);
}

TEST(RankEnvironment, AloneNeedsNothingElse) {
  EXPECT_EQ(read({{"RANK", "0"}, {"WORLD_SIZE", "1"}})->size, 1);
}

TEST(RankEnvironment, HalfAFamilyIsRefused) {
  EXPECT_EQ(refusal({{"RANK", "0"}}), "WORLD_SIZE: expected a number from 1 to 1024, got nothing");
  EXPECT_THAT(refusal({{"WORLD_SIZE", "2"}}), HasSubstr("RANK: expected a number from 0 to 1"));
  EXPECT_THAT(refusal({{"RANK", "1"}, {"WORLD_SIZE", "2"}}), HasSubstr("LOCAL_RANK"));
}

TEST(RankEnvironment, EveryNumberIsRead) {
  for (const char* name : {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT"}) {
    for (const char* value : {"two", "-1", "+1", " 1", "1 ", "0x1", "1.5", "99999999999999999999",
                              "1e3", "\x01", "\xff\xfe", "1\n2", "4096000"}) {
      EXPECT_THAT(refusal(name, value), HasSubstr(std::string(name) + ": expected a number"))
          << value;
    }
  }
  EXPECT_EQ(refusal("RANK", "8"), "RANK: expected a number from 0 to 7, got \"8\"");
  EXPECT_EQ(refusal("WORLD_SIZE", "0"), "WORLD_SIZE: expected a number from 1 to 1024, got \"0\"");
  EXPECT_EQ(refusal("LOCAL_RANK", "8"), "LOCAL_RANK: expected a number from 0 to 7, got \"8\"");
  EXPECT_THAT(refusal("MASTER_PORT", "0"), HasSubstr("from 1 to 65535"));
}

TEST(RankEnvironment, AddressesAreNames) {
  for (const std::string& value : {std::string("a b"), std::string("a\nb"), std::string("$(x)"),
                                   std::string(1000, 'a'), std::string("\xc3\xa4")})
    EXPECT_THAT(refusal("MASTER_ADDR", value), HasSubstr("MASTER_ADDR: expected a host name"));
  EXPECT_EQ(read({{"RANK", "1"},
                  {"WORLD_SIZE", "2"},
                  {"LOCAL_RANK", "1"},
                  {"MASTER_ADDR", "fe80::1%eth0"}})
                ->host,
            "fe80::1%eth0");
}

}  // namespace
}  // namespace octavo
