// How far a device's logits are from those of float32 arithmetic, beside the CPU's own distance.
// SPDX-License-Identifier: Apache-2.0
//
// logits_tool MODEL_DIR [NAME=VALUE …]: one JSON object; names are load_format, qformat,
// kv_cache_dtype, tokens. Root mean squares over the logits of all positions, relative to those of
// the reference: the CPU with float32 activations. Exit code 1 where the GPU's logits are not
// finite or more than half again as far away as the CPU's of the same type.
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "api/model_source.h"
#include "api/registry.h"
#include "core/error.h"

namespace octavo {
namespace {

using Settings = std::map<std::string, std::string>;

std::vector<float> logits_of(const std::string& model_dir, const Settings& settings,
                             const std::string& device, const std::string& dtype) {
  const auto setting = [&](const char* name, const char* fallback) {
    const auto found = settings.find(name);
    return found == settings.end() ? std::string(fallback) : found->second;
  };
  const int64_t tokens = std::stoll(setting("tokens", "64"));
  ModelOptions options{.model_dir = model_dir,
                       .load_format = setting("load_format", "auto"),
                       .qformat = setting("qformat", "auto")};
  options.build_config.device = device;
  options.build_config.dtype = dtype;
  options.build_config.kv_cache_dtype = setting("kv_cache_dtype", "auto");
  options.build_config.max_seq_len = tokens + 1;
  options.build_config.max_num_tokens = tokens;
  options.build_config.max_batch_size = 4;
  ThreadPool pool;
  SilentProgress silent;
  const LoadedModel model = load_model(options, pool, silent);
  Runner runner(model.image, kernel_registry(), *model.device, {});
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < tokens; ++i)
    ids.push_back(static_cast<int32_t>(3 + (i * 7919) % (model.image->config.vocab_size - 3)));
  std::vector<float> all;
  runner.visit_logits(ids, [&](int64_t, std::span<const float> logits) {
    all.insert(all.end(), logits.begin(), logits.end());
  });
  return all;
}

double distance(const std::vector<float>& a, const std::vector<float>& reference) {
  OCTAVO_CHECK(a.size() == reference.size());
  double difference = 0, square = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(reference[i]), 2);
    square += std::pow(static_cast<double>(reference[i]), 2);
  }
  return std::sqrt(difference / square);
}

int compare(const std::string& model_dir, const Settings& settings) {
  constexpr double kMargin = 1.5;  // other kernels, the same roundings
  const std::vector<float> reference = logits_of(model_dir, settings, "cpu", "float32");
  const double cpu = distance(logits_of(model_dir, settings, "cpu", "bfloat16"), reference);
  const double cuda = distance(logits_of(model_dir, settings, "cuda", "bfloat16"), reference);
  const double cuda_float = distance(logits_of(model_dir, settings, "cuda", "float32"), reference);
  const bool good = cuda <= kMargin * cpu && cuda_float <= kMargin * cpu;
  const nlohmann::ordered_json report = {{"model", model_dir},         {"settings", settings},
                                         {"cpu_bfloat16", cpu},        {"cuda_bfloat16", cuda},
                                         {"cuda_float32", cuda_float}, {"within", good}};
  fmt::print("{}\n", report.dump());
  return good ? 0 : 1;
}

}  // namespace
}  // namespace octavo

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: logits_tool MODEL_DIR [NAME=VALUE …]\n");
    return 2;
  }
  octavo::Settings settings;
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    const size_t equals = word.find('=');
    if (equals == word.npos) {
      fmt::print(stderr, "expected NAME=VALUE, got {}\n", word);
      return 2;
    }
    settings[word.substr(0, equals)] = word.substr(equals + 1);
  }
  try {
    return octavo::compare(argv[1], settings);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
