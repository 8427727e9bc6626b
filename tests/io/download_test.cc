// Failed downloads are recognised, and real files are not mistaken for them.
// SPDX-License-Identifier: Apache-2.0
#include "io/download.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(Download, RecognisesPointersAndPages) {
  for (const char* start :
       {"version https://git-lfs.github.com/spec/v1\n", "<!DOCTYPE html>", "<!doctype HTML>",
        "<html lang=en>", "<HTML>", "<?xml version=\"1.0\"?><Error>"}) {
    EXPECT_TRUE(download_problem(start).has_value()) << start;
  }
}

TEST(Download, LeavesOtherFilesAlone) {
  for (const char* start : {"", "{", "<", "version", "version https://git", "{\"html\": 1}"}) {
    EXPECT_FALSE(download_problem(start).has_value()) << start;
  }
}

}  // namespace
}  // namespace octavo
