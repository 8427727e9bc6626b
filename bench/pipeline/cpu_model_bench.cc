// A whole model on the CPU: decode against read bandwidth, prefill against a oneDNN bf16 GEMM.
// SPDX-License-Identifier: Apache-2.0
//
// Dummy FP8 weights. Prints a table to stderr and JSON to stdout.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "api/model_source.h"
#include "api/registry.h"
#include "kernels/bench_options.h"
#include "kernels/onednn_gemm.h"
#include "measure/read_bandwidth.h"
#include "measure/step_bytes.h"
#include "program/interpreter.h"

namespace octavo {
namespace {

constexpr int64_t kContext = 128;  // tokens before the decoded ones
constexpr int kDecodeSteps = 25;
constexpr int kPrefills = 3;
constexpr int64_t kPrefillTokens = 512;
constexpr int64_t kWindowBytes = int64_t{256} << 20;

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + std::ssize(values) / 2, values.end());
  return values[values.size() / 2];
}

Step one_sequence(int64_t id, int32_t first, int32_t count, const SamplingParams& greedy) {
  StepSequence sequence{
      .first_position = first, .num_tokens = count, .sample = true, .sampling = &greedy};
  for (int32_t i = 0; i < count; ++i) sequence.tokens.push_back((first + i) % 1000 + 10);
  for (int32_t block = 0; block * 32 < first + count; ++block) sequence.blocks.push_back(block);
  return {.id = id, .sequences = {sequence}, .num_tokens = count};
}

// oneDNN's time for the same GEMMs, bf16, without lm_head: [tokens, in] × [out, in].
double onednn_seconds(const EngineImage& image, int64_t tokens) {
  const Program& program = image.plans.front().program;
  double total = 0.0;
  for (const Call& call : program.calls) {
    if (call.op != Op::kLinear || call.role == Role::kLmHead || call.layer != 0) continue;
    const Shape weight = evaluate(program.tensor(call.inputs[1]).shape, {});
    const std::unique_ptr<OnednnGemm> gemm = OnednnGemm::make(tokens, weight[0], weight[1]);
    if (gemm == nullptr) return 0.0;
    gemm->time();  // warm-up
    total += gemm->time();
  }
  return total * static_cast<double>(image.config.num_layers);
}

nlohmann::ordered_json run(const std::string& model_dir) {
  ModelOptions options{.model_dir = model_dir, .load_format = "dummy", .qformat = "fp8"};
  options.build_config.max_batch_size = 1;
  options.build_config.max_seq_len = 1024;
  options.build_config.max_num_tokens = kPrefillTokens;
  ThreadPool pool;
  SilentProgress silent;
  const LoadedModel model = load_model(options, pool, silent);
  Runner runner(model.image, kernel_registry(), *model.device, {.max_batch_size = 1});
  const SamplingParams greedy;
  int64_t id = 0;
  const auto step = [&](int32_t first, int32_t count) {
    runner.launch(one_sequence(id++, first, count, greedy));
    runner.wait();
  };

  step(0, kPrefillTokens);  // warm-up
  // Samples alternate with their baselines, so that a busy neighbour slows both.
  ReadBandwidth stream(int64_t{1} << 30);
  std::vector<double> prefill, decode, windows, onednn;
  for (int i = 0; i < kPrefills; ++i) {
    prefill.push_back(seconds([&] { step(0, kPrefillTokens); }));
    onednn.push_back(onednn_seconds(*model.image, kPrefillTokens));
  }
  for (int i = 0; i < kDecodeSteps; ++i) {
    decode.push_back(seconds([&] { step(static_cast<int32_t>(kContext) + i, 1); }));
    windows.push_back(stream.time_window(kWindowBytes, pool));
  }
  const double bandwidth = static_cast<double>(kWindowBytes) / median(windows);
  const double bytes =
      static_cast<double>(weight_bytes_per_step(model.image->plans.front().program));
  const double gemms = median(onednn);
  return {{"model", std::filesystem::path(model_dir).filename().string()},
          {"threads", pool.size()},
          {"cpu_level", to_string(cpu_level())},
          {"onednn", onednn_version()},
          {"weight_bytes_a_step", bytes},
          {"read_bandwidth_gb_s", bandwidth / 1e9},
          {"decode_ms", 1e3 * median(decode)},
          {"decode_gb_s", bytes / median(decode) / 1e9},
          {"decode_share_of_bandwidth", bytes / median(decode) / bandwidth},
          {"prefill_tokens", kPrefillTokens},
          {"prefill_ms", 1e3 * median(prefill)},
          {"onednn_bf16_gemms_ms", 1e3 * gemms},
          {"prefill_over_onednn", gemms > 0.0 ? median(prefill) / gemms : 0.0}};
}

}  // namespace
}  // namespace octavo

int main(int argc, char** argv) {
  CLI::App app("Times decode and prefill of a whole model on the CPU; JSON goes to stdout.");
  std::string model = "configs/llama-3.2-1b";
  app.add_option("model_dir", model, "a folder that holds at least config.json")
      ->capture_default_str();
  octavo::CpuLevel level = octavo::detected_cpu_level();
  octavo::add_cpu_level(app, level);
  CLI11_PARSE(app, argc, argv);
  const octavo::CpuLevelLimit limit(level);
  const nlohmann::ordered_json report = octavo::run(model);
  fmt::print(stderr,
             "decode  {:8.1f} ms a token: {:.1f} GB/s, {:.0f} % of the measured {:.1f} GB/s (at "
             "least 60 %)\n",
             report["decode_ms"].get<double>(), report["decode_gb_s"].get<double>(),
             100 * report["decode_share_of_bandwidth"].get<double>(),
             report["read_bandwidth_gb_s"].get<double>());
  fmt::print(stderr,
             "prefill {:8.1f} ms for {} tokens, {:.2f} x a oneDNN bf16 GEMM of the same shapes (at "
             "most 2)\n",
             report["prefill_ms"].get<double>(), report["prefill_tokens"].get<int64_t>(),
             report["prefill_over_onednn"].get<double>());
  fmt::print("{}\n", report.dump(2));
}
