// build as callers see it.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/build.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/api_support.h"
#include "io/json.h"
#include "io/test_support.h"

namespace octavo {
namespace {

TEST(Build, WritesAnEngineWithItsProvenance) {
  const TemporaryDirectory folder;
  SilentProgress silent;
  const BuildReport report = build({.checkpoint_dir = kPocket, .output_dir = folder / "e"}, silent);
  EXPECT_EQ(report.kv_bytes_per_token, 2 * 6 * 4 * 64 * 2);
  EXPECT_GT(report.weight_bytes, uint64_t{8} << 20);
  EXPECT_EQ(report.calls_a_layer, 10);
  const nlohmann::json config = read_json_file(folder / "e/config.json");
  EXPECT_EQ(config["provenance"]["checkpoint"], "pocket-llama");
  EXPECT_EQ(config["engine"]["max_seq_len"], 16384);
}

TEST(Build, ADryRunChecksAndWritesNothing) {
  const TemporaryDirectory folder;
  SilentProgress silent;
  BuildOptions options{.checkpoint_dir = kPocket, .output_dir = folder / "e", .dry_run = true};
  options.config.plugin_config.reduce_fusion = true;
  EXPECT_THAT(build(options, silent).notices,
              testing::ElementsAre(testing::HasSubstr("--reduce_fusion has no effect")));
  EXPECT_TRUE(names_in(folder.path()).empty());
  options.config.kv_cache_dtype = "fp8";
  EXPECT_EQ(error_of([&] { build(options, silent); }).category(), ErrorCategory::kUnsupported);
}

}  // namespace
}  // namespace octavo
