// Any bytes as a model's, a quantization's or an engine's config: an Error or a checked value.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/error.h"
#include "core/log.h"
#include "io/json.h"
#include "io/quantization_config.h"
#include "model/architecture.h"
#include "program/engine_image.h"
#include "program/memory_plan.h"

using namespace octavo;

namespace {

template <typename Read>
void attempt(Read read) {
  try {
    read();
  } catch (const Error& error) {
    if (error.category() == ErrorCategory::kInternal) __builtin_trap();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  set_log_level(LogLevel::kError);
  nlohmann::json json;
  try {
    json = parse_json({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const Error&) {
    return 0;
  }
  attempt([&] { find_architecture(json, "fuzz").read_config(json, "fuzz"); });
  attempt([&] { read_quantization_config(&json, json, "fuzz"); });
  attempt([&] { engine_config_from_json(json, "fuzz"); });
  attempt([&] {
    const Plan plan = plan_from_json(json, "fuzz");
    plan_memory(
        plan.program,
        {.tokens = 4, .sequences = 2, .logit_rows = 2, .cache_blocks = 2, .table_width = 1});
  });
  return 0;
}
