// Single steps of a whole model: decode at several batch sizes, prefill at several lengths.
// SPDX-License-Identifier: Apache-2.0
//
// step_bench MODEL_DIR [octavo's model options as NAME=VALUE …]: dummy weights; prints one JSON
// object. Options: device, qformat, kv_cache_dtype, context, batch (a list), prefill (a list),
// tokens_per_block, low_latency_gemm_plugin, gemm_swiglu_plugin, low_latency_gemm_swiglu_plugin,
// use_fp8_context_fmha, tp_size, pp_size, reduce_fusion, user_buffer, rope_attention_fusion,
// norm_linear_fusion, steps (that are timed; few where a profiler looks on), rest_ms (before each
// prompt: one after the other they heat a GPU to its power limit, which prompts between other steps
// do not).
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "api/model_source.h"
#include "api/registry.h"
#include "core/checked.h"

namespace octavo {
namespace {

constexpr int kWarmSteps = 3;
constexpr int kSteps = 30;
constexpr int kPrompts = 7;

using Settings = std::map<std::string, std::string>;

std::vector<int64_t> numbers(const std::string& list) {
  std::vector<int64_t> values;
  std::istringstream stream(list);
  for (std::string item; std::getline(stream, item, ',');) values.push_back(std::stoll(item));
  return values;
}

int64_t largest(const std::vector<int64_t>& values) {
  return values.empty() ? 1 : *std::max_element(values.begin(), values.end());
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class StepBench {
 public:
  StepBench(const LoadedModel& model, int64_t context, int steps, int64_t max_batch,
            int64_t max_tokens)
      : steps_(steps),
        runner_(model.ranks(), kernel_registry(),
                {.max_batch_size = max_batch, .max_num_tokens = max_tokens}),
        context_(context) {
    greedy_.ignore_eos = true;
  }

  // Milliseconds a step, the next step launched before the result of the one before is read.
  double decode(int64_t batch) {
    for (int i = 0; i < kWarmSteps; ++i) run(decode_step(batch, i == 0));
    const double start = now();
    runner_.launch(decode_step(batch, false));
    for (int i = 1; i < steps_; ++i) {
      runner_.launch(decode_step(batch, false));
      runner_.wait();
    }
    runner_.wait();
    return 1e3 * (now() - start) / steps_;
  }

  // Milliseconds from the launch of a prompt to its first token, the median.
  double prefill(int64_t tokens, std::chrono::milliseconds rest) {
    std::vector<double> times;
    for (int i = 0; i < kWarmSteps + std::min(kPrompts, steps_); ++i) {
      std::this_thread::sleep_for(rest);
      const double start = now();
      run(prefill_step(tokens));
      if (i >= kWarmSteps) times.push_back(1e3 * (now() - start));
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  }

  bool fits(int64_t batch) const {
    return batch * blocks_for(context_ + 1) <= runner_.num_blocks();
  }

 private:
  int64_t blocks_for(int64_t tokens) const {
    return ceil_div(tokens, runner_.config().tokens_per_block);
  }
  void run(const Step& step) {
    runner_.launch(step);
    runner_.wait();
  }

  Step decode_step(int64_t batch, bool known) {
    Step step{.id = next_id_++, .num_tokens = batch};
    for (int64_t i = 0; i < batch; ++i) {
      StepSequence sequence{.slot = static_cast<int32_t>(i),
                            .first_position = static_cast<int32_t>(context_ - 1),
                            .num_tokens = 1,
                            .sample = true,
                            .sampling = &greedy_};
      if (known) sequence.tokens = {static_cast<int32_t>(10 + i % 1000)};
      for (int64_t block = 0; block < blocks_for(context_); ++block)
        sequence.blocks.push_back(static_cast<int32_t>(i * blocks_for(context_) + block));
      step.sequences.push_back(std::move(sequence));
    }
    return step;
  }

  Step prefill_step(int64_t tokens) {
    StepSequence sequence{
        .num_tokens = static_cast<int32_t>(tokens), .sample = true, .sampling = &greedy_};
    for (int64_t i = 0; i < tokens; ++i)
      sequence.tokens.push_back(static_cast<int32_t>(10 + (i * 7919) % 1000));
    for (int64_t block = 0; block < blocks_for(tokens); ++block)
      sequence.blocks.push_back(static_cast<int32_t>(block));
    return {.id = next_id_++, .sequences = {sequence}, .num_tokens = tokens};
  }

  int steps_;
  Runner runner_;
  int64_t context_;
  SamplingParams greedy_;
  int64_t next_id_ = 0;
};

void run(const std::string& model_dir, Settings settings) {
  const auto setting = [&](const char* name, const char* fallback) {
    const auto it = settings.find(name);
    return it == settings.end() ? std::string(fallback) : it->second;
  };
  const int64_t context = std::stoll(setting("context", "3072"));
  const std::vector<int64_t> batches = numbers(setting("batch", "1,16,64,256"));
  const std::vector<int64_t> prompts = numbers(setting("prefill", "2048"));
  const int64_t longest = std::max(context, largest(prompts));
  ModelOptions options{.model_dir = model_dir, .load_format = "dummy"};
  options.qformat = setting("qformat", "fp8");
  BuildConfig& config = options.build_config;
  config.device = setting("device", "auto");
  config.kv_cache_dtype = setting("kv_cache_dtype", options.qformat == "fp8" ? "fp8" : "auto");
  config.max_seq_len = longest + 1;
  config.max_batch_size = largest(batches);
  config.max_num_tokens = std::max(longest, config.max_batch_size);
  config.tp_size = std::stoll(setting("tp_size", "1"));
  config.pp_size = std::stoll(setting("pp_size", "1"));
  config.plugin_config.reduce_fusion = setting("reduce_fusion", "disable") == "enable";
  config.plugin_config.user_buffer = setting("user_buffer", "disable") == "enable";
  config.plugin_config.rope_attention_fusion =
      setting("rope_attention_fusion", "disable") == "enable";
  config.plugin_config.norm_linear_fusion = setting("norm_linear_fusion", "disable") == "enable";
  config.tokens_per_block = std::stoll(setting("tokens_per_block", "64"));
  config.plugin_config.gemm_swiglu_plugin = setting("gemm_swiglu_plugin", "disable");
  config.plugin_config.use_fp8_context_fmha =
      setting("use_fp8_context_fmha", "disable") == "enable";
  config.plugin_config.low_latency_gemm_swiglu_plugin =
      setting("low_latency_gemm_swiglu_plugin", "disable");
  config.plugin_config.low_latency_gemm_plugin =
      setting("low_latency_gemm_plugin", options.qformat == "fp8" ? "fp8" : "disable");
  ThreadPool pool;
  SilentProgress silent;
  const double start = now();
  const LoadedModel model = load_model(options, pool, silent);
  nlohmann::ordered_json report = {{"model", model_dir},
                                   {"settings", settings},
                                   {"device", model.device->properties().name},
                                   {"load_s", now() - start}};
  const int steps = std::max(1, std::stoi(setting("steps", std::to_string(kSteps).c_str())));
  const std::chrono::milliseconds rest(std::stoi(setting("rest_ms", "0")));
  StepBench bench(model, context, steps, config.max_batch_size, config.max_num_tokens);
  report["start_s"] = now() - start;
  for (const int64_t batch : batches) {
    if (!bench.fits(batch)) continue;
    report["decode"].push_back(
        {{"batch", batch}, {"context", context}, {"ms", bench.decode(batch)}});
    fmt::print(stderr, "{}\n", report["decode"].back().dump());
  }
  for (const int64_t tokens : prompts) {
    report["prefill"].push_back({{"tokens", tokens}, {"ms", bench.prefill(tokens, rest)}});
    fmt::print(stderr, "{}\n", report["prefill"].back().dump());
  }
  fmt::print("{}\n", report.dump());
}

}  // namespace
}  // namespace octavo

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: step_bench MODEL_DIR [NAME=VALUE …]\n");
    return 2;
  }
  octavo::Settings settings;
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    const size_t equals = word.find('=');
    settings[word.substr(0, equals)] = equals == std::string::npos ? "" : word.substr(equals + 1);
  }
  try {
    octavo::run(argv[1], settings);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
