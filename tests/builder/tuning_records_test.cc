// Tuning records: what is read again, what is not, and files that cannot be used.
// SPDX-License-Identifier: Apache-2.0
#include "builder/tuning_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "builder/kernel_timer.h"
#include "core/host_device.h"
#include "io/test_support.h"

namespace octavo {
namespace {

const DeviceProperties kDevice = {.name = "Maker's GPU 9", .runtime_version = 13000};

class TuningRecordsTest : public testing::Test {
 protected:
  std::vector<std::filesystem::path> folders() const {
    return {folder_.path() / "own", folder_.path() / "shipped"};
  }
  TuningRecords open(const DeviceProperties& device = kDevice, bool retune = false) const {
    return TuningRecords(device, folders(), retune);
  }
  std::filesystem::path own_file() const {
    return folders().front() / TuningRecords::file_name(kDevice);
  }

  TemporaryDirectory folder_;
};

TEST_F(TuningRecordsTest, AreReadAgain) {
  TuningRecords records = open();
  EXPECT_EQ(records.find("a"), nullptr);
  records.set("a", {{"kernel", "1.2", 3.5}, {"other", "", 0}});
  records.save();
  const TuningRecords again = open();
  ASSERT_NE(again.find("a"), nullptr);
  EXPECT_EQ(again.find("a")->front().tactic, "1.2");
  EXPECT_EQ(again.find("a")->front().us, 3.5);
  EXPECT_EQ(again.find("a")->back().kernel, "other");
  EXPECT_EQ(TuningRecords::file_name(kDevice), "maker-s-gpu-9-cuda-13000.json");
}

TEST_F(TuningRecordsTest, AnotherDeviceOrARequestToMeasureFindsNone) {
  TuningRecords records = open();
  records.set("a", {{"kernel", "", 1}});
  records.save();
  EXPECT_EQ(open({.name = "Maker's GPU 8", .runtime_version = 13000}).find("a"), nullptr);
  EXPECT_EQ(open({.name = "Maker's GPU 9", .runtime_version = 13010}).find("a"), nullptr);
  EXPECT_EQ(open(kDevice, /*retune=*/true).find("a"), nullptr);
}

TEST_F(TuningRecordsTest, OnesOwnComeBeforeThoseThatAreShipped) {
  const auto in_folder = [&](size_t index, double us) {
    const std::filesystem::path folder[] = {folders()[index]};
    TuningRecords records(kDevice, folder);
    records.set("a", {{"kernel", "", us}});
    records.save();
  };
  in_folder(1, 7);
  EXPECT_EQ(open().find("a")->front().us, 7);
  in_folder(0, 5);
  EXPECT_EQ(open().find("a")->front().us, 5);
}

TEST_F(TuningRecordsTest, FilesThatCannotBeUsedAreLeftOut) {
  std::filesystem::create_directories(own_file().parent_path());
  for (const char* text :
       {"", "[]", "{", R"({"program": "octavo 0.1.0"})",
        R"({"program": "octavo 0.1.0", "device": "Maker's GPU 9", "problems": {"a": [{}]}})",
        R"({"program": "octavo 0.0.9", "device": "Maker's GPU 9", "problems": {}})",
        R"({"program": "octavo 0.1.0", "device": "Maker's GPU 9",
            "problems": {"a": [{"kernel": "k", "tactic": "", "us": -1}]}})"}) {
    std::ofstream(own_file()) << text;
    EXPECT_EQ(open().find("a"), nullptr) << text;
  }
}

TEST_F(TuningRecordsTest, AFolderThatCannotBeMadeIsNoError) {
  std::ofstream(folder_.path() / "own") << "a file";
  TuningRecords records = open();
  records.set("a", {{"kernel", "", 1}});
  EXPECT_NO_THROW(records.save());
  EXPECT_NE(records.find("a"), nullptr);
}

int runs = 0;
void count(const Operands&, const LaunchContext&) { ++runs; }
void refuse(const Operands&, const LaunchContext&) {
  throw Error(ErrorCategory::kUnsupported, "no algorithm");
}
Verdict any(const Problem&) { return Verdict::yes(); }

TEST_F(TuningRecordsTest, TheTimerMeasuresWhatIsNotRecorded) {
  const Kernel counted = {"counted", Op::kLinear, {}, any, nullptr, count};
  const Kernel refusing = {"refusing", Op::kLinear, {}, any, nullptr, refuse};
  const Kernel newer = {"newer", Op::kLinear, {}, any, nullptr, count};
  const Problem problem = {
      .op = Op::kLinear,
      .params = LinearParams{},
      .inputs = {{{2, 16}, DType::kF32, true}, {{8, 16}, DType::kF32, true}, {}, {}, {}},
      .outputs = {{{2, 8}, DType::kF32, true}}};
  ThreadPool pool(1);
  HostDevice device(pool, /*graphs=*/true);
  const auto time = [&](std::vector<const Kernel*> candidates) {
    TuningRecords records = open();
    KernelTimer timer(device, &records);
    runs = 0;
    EXPECT_EQ(timer.time(problem, candidates).front().kernel, candidates.front());
    records.save();
    return runs;
  };
  EXPECT_GT(time({&counted, &refusing}), 0);
  EXPECT_EQ(time({&counted, &refusing}), 0);
  EXPECT_EQ(time({&counted}), 0);
  EXPECT_GT(time({&newer}), 0);
}

}  // namespace
}  // namespace octavo
