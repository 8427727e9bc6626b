// EngineConfig as JSON, and the size of its cache.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "builder/build.h"
#include "model/tiny_model.h"
#include "program/engine_image.h"

namespace octavo {
namespace {

EngineConfig tiny_engine_config(const CheckpointQuantization& quantization) {
  return make_blueprint(tiny_model(quantization), {}, cpu_registry()).config;
}

TEST(EngineConfig, RoundTrip) {
  const nlohmann::json json = to_json(tiny_engine_config(fp8_with_kv_cache()));
  EXPECT_EQ(to_json(engine_config_from_json(json, "f")), json);
  EXPECT_EQ(json["kv_cache_dtype"], "fp8");
}

TEST(EngineConfig, EveryFieldIsNeededAndChecked) {
  const nlohmann::json json = to_json(tiny_engine_config({}));
  for (const auto& [key, value] : json.items()) {
    nlohmann::json missing = json;
    missing.erase(key);
    EXPECT_THROW(engine_config_from_json(missing, "f"), Error) << key;
    nlohmann::json wrong = json;
    wrong[key] = value.is_string() ? nlohmann::json(3) : nlohmann::json("x");
    EXPECT_THROW(engine_config_from_json(wrong, "f"), Error) << key;
  }
}

TEST(EngineConfig, CacheBytes) {
  // K and V × layers × KV heads × head_dim × bytes an element.
  EXPECT_EQ(tiny_engine_config({}).kv_bytes_per_token(), 2 * 2 * 2 * 8 * 2);
  EXPECT_EQ(tiny_engine_config(fp8_with_kv_cache()).kv_bytes_per_token(), 2 * 2 * 2 * 8 * 1);
}

}  // namespace
}  // namespace octavo
