// The identity of a build: it follows the content, not the header that holds it.
// SPDX-License-Identifier: Apache-2.0
#include "io/engine_identity.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace octavo {
namespace {

const nlohmann::json kManifest = {{"octavo_engine", {{"ranks", 1}}},
                                  {"engine", {{"vocab_size", 272}}},
                                  {"model_config", {{"rms_norm_eps", 1e-05}}}};
const nlohmann::json kPlans = nlohmann::json::array({{{"calls", 10}}});

TEST(EngineIdentity, SurvivesWritingAndReading) {
  const nlohmann::json read = nlohmann::json::parse(kManifest.dump(2));
  EXPECT_EQ(engine_build_id(kManifest, kPlans), engine_build_id(read, kPlans));
}

TEST(EngineIdentity, FollowsTheContent) {
  const std::string id = engine_build_id(kManifest, kPlans);
  nlohmann::json changed = kManifest;
  changed["engine"]["vocab_size"] = 273;
  EXPECT_NE(engine_build_id(changed, kPlans), id);
  EXPECT_NE(engine_build_id(kManifest, nlohmann::json::array()), id);
  nlohmann::json header = kManifest;
  header["octavo_engine"]["build_id"] = id;
  EXPECT_EQ(engine_build_id(header, kPlans), id);
}

TEST(EngineIdentity, ChecksumHasSixteenDigits) {
  EXPECT_EQ(file_checksum("").size(), 16u);
  EXPECT_NE(file_checksum("a"), file_checksum("b"));
}

}  // namespace
}  // namespace octavo
