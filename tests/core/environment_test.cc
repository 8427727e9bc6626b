// Environment variables: which of them counts.
// SPDX-License-Identifier: Apache-2.0
#include "core/environment.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace octavo {
namespace {

TEST(Environment, TheMostParticularVariableSaysWhereTuningRecordsAre) {
  setenv("HOME", "/home/user", 1);
  unsetenv("XDG_CACHE_HOME");
  unsetenv("OCTAVO_TUNED_DIR");
  EXPECT_EQ(tuned_directory(), "/home/user/.cache/octavo/tuned");
  setenv("XDG_CACHE_HOME", "/cache", 1);
  EXPECT_EQ(tuned_directory(), "/cache/octavo/tuned");
  setenv("OCTAVO_TUNED_DIR", "/tuned", 1);
  EXPECT_EQ(tuned_directory(), "/tuned");
  for (const char* name : {"HOME", "XDG_CACHE_HOME", "OCTAVO_TUNED_DIR"}) setenv(name, "", 1);
  EXPECT_TRUE(tuned_directory().empty());
}

}  // namespace
}  // namespace octavo
