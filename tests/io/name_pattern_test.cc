// Regular expressions as patterns of module names; wildcards are quantization_config_test's.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "io/quantization_config.h"
#include "io/test_support.h"

namespace octavo {
namespace {

TEST(NamePattern, RegularExpressionsMatchFromTheFirstCharacter) {
  EXPECT_TRUE(module_matches("re:.*lm_head", "lm_head"));
  EXPECT_TRUE(module_matches("re:model\\.layers\\.[01]\\.", "model.layers.1.mlp.up_proj"));
  EXPECT_FALSE(module_matches("re:model\\.layers\\.[01]\\.", "model.layers.11.mlp.up_proj"));
  EXPECT_FALSE(module_matches("re:layers", "model.layers.1"));
  EXPECT_TRUE(module_matches("re:.*_proj$", "model.layers.1.mlp.up_proj"));
  EXPECT_FALSE(module_matches("re:.*_proj$", "model.layers.1.mlp.up_proj.x"));
}

TEST(NamePattern, HostilePatternsAreErrors) {
  const auto category = [](const std::string& pattern, const std::string& name) {
    return error_of([&] { module_matches(pattern, name); }).category();
  };
  EXPECT_EQ(category("re:(", "x"), ErrorCategory::kBadFile);
  EXPECT_EQ(category("re:" + std::string(2000, 'a'), "x"), ErrorCategory::kBadFile);
  EXPECT_EQ(category("re:(a|aa)+$", std::string(200, 'a') + "b"), ErrorCategory::kBadFile);
}

}  // namespace
}  // namespace octavo
