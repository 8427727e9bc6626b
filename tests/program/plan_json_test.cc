// Plans as JSON: exact round trips, and refusal of everything that does not fit.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "builder/build.h"
#include "model/tiny_model.h"
#include "program/engine_image.h"

namespace octavo {
namespace {

Plan tiny_plan() {
  BuildConfig config;
  config.max_num_tokens = 64;
  config.max_batch_size = 4;
  return make_blueprint(tiny_model(fp8_with_kv_cache()), config, cpu_registry()).plans.front();
}

TEST(PlanJson, RoundTripIsExact) {
  const Plan plan = tiny_plan();
  const nlohmann::json json = to_json(plan);
  const Plan again = plan_from_json(json, "f");
  EXPECT_EQ(to_json(again), json);
  EXPECT_EQ(to_string(again.program), to_string(plan.program));
  EXPECT_EQ(again.kernels, plan.kernels);
  EXPECT_EQ(again.tactics, plan.tactics);
}

TEST(PlanJson, EveryFieldIsNeeded) {
  const nlohmann::json json = to_json(tiny_plan());
  for (const auto& [key, value] : json.items()) {
    nlohmann::json broken = json;
    broken.erase(key);
    EXPECT_THROW(plan_from_json(broken, "f"), Error) << key;
  }
  for (const auto& [key, value] : json["program"]["calls"][0].items()) {
    nlohmann::json broken = json;
    broken["program"]["calls"][0].erase(key);
    EXPECT_THROW(plan_from_json(broken, "f"), Error) << key;
  }
}

TEST(PlanJson, HostileValuesAreRefused) {
  const nlohmann::json json = to_json(tiny_plan());
  const std::vector<std::pair<std::string, nlohmann::json>> cases = {
      {"/program/calls/0/op", "format_disk"},
      {"/program/calls/0/inputs/0", 1 << 23},
      {"/program/calls/0/outputs/0", -5},
      {"/program/tensors/0/dtype", "float4"},
      {"/program/tensors/0/kind", "file"},
      {"/program/tensors/8/shape/0", -1},
      {"/program/tensors/8/shape/0", int64_t{1} << 60},
      {"/program/calls/1/params/epsilon", "x"},
      {"/kernels", nlohmann::json::array()},
      {"/max_tokens", 0}};
  for (const auto& [pointer, value] : cases) {
    nlohmann::json broken = json;
    broken[nlohmann::json::json_pointer(pointer)] = value;
    try {
      plan_from_json(broken, "f");
      ADD_FAILURE() << pointer << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kBadFile) << pointer;
    }
  }
}

}  // namespace
}  // namespace octavo
