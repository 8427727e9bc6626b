// Where tuning records are looked for.
// SPDX-License-Identifier: Apache-2.0
#include "api/tuning.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "io/test_support.h"

namespace octavo {
namespace {

TEST(Tuning, RecordsOfAGpuAreKeptInTheUsersFolder) {
  const TemporaryDirectory folder;
  setenv("OCTAVO_TUNED_DIR", (folder / "tuned").c_str(), 1);
  for (const DeviceType type : {DeviceType::kCpu, DeviceType::kCuda}) {
    const DeviceProperties device = {.type = type, .name = "Named"};
    TuningRecords records = open_tuning_records(device);
    records.set("a", {{"kernel", "", 2}});
    records.save();
    const bool kept = open_tuning_records(device).find("a") != nullptr;
    EXPECT_EQ(kept, type == DeviceType::kCuda);
    EXPECT_EQ(open_tuning_records(device, /*retune=*/true).find("a"), nullptr);
  }
}

}  // namespace
}  // namespace octavo
