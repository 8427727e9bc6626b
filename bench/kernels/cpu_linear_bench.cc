// Speed of the CPU linear kernels on the shapes of Llama-3.2-1B: weights streamed at one row as a
// share of memory bandwidth, many rows against oneDNN.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>
#include <vector>

#include "backend/cpu/cpu_features.h"
#include "backend/cpu/linear.h"
#include "core/checked.h"
#include "kernels/bench_options.h"
#include "kernels/onednn_gemm.h"
#include "measure/read_bandwidth.h"
#include "numerics/bf16.h"
#include "numerics/e4m3.h"

namespace octavo {
namespace {

// Weights of more bytes than any cache holds are read in turn. A window is what one time is taken
// of; windows of the plain read and of the kernel alternate, and the best of each is compared, so
// that other programs on the machine disturb both alike.
constexpr int64_t kStreamBytes = int64_t{640} << 20;
constexpr int64_t kWindowBytes = int64_t{32} << 20;
constexpr int kWindows = 40;
constexpr int kPrefillPasses = 7;
// oneDNN's threads spin after a call; ours start when they have stopped.
constexpr std::chrono::milliseconds kSettle{20};

struct LayerShape {
  const char* name;
  int64_t out;
  int64_t in;
};
constexpr LayerShape kShapes[] = {
    {"qkv_proj", 3072, 2048},  {"o_proj", 2048, 2048},    {"gate_up_proj", 16384, 2048},
    {"down_proj", 2048, 8192}, {"lm_head", 128256, 2048},
};
constexpr int64_t kPrefillRows[] = {512, 2048};

// One linear whose weight exists `copies` times.
class LinearBench {
 public:
  LinearBench(const LayerShape& shape, DType x, DType weight, int64_t rows, int64_t copies)
      : x_(x, {rows, shape.in}), y_(DType::kBF16, {rows, shape.out}), scale_(DType::kF32, {1}) {
    *scale_.as<float>() = 0.01f;
    fill(x_);
    for (int64_t i = 0; i < copies; ++i) {
      weights_.emplace_back(weight, Shape{shape.out, shape.in});
      if (i == 0) {
        fill(weights_[0]);
      } else {
        std::memcpy(weights_[i].data(), weights_[0].data(), weights_[0].bytes());
      }
    }
    const Problem problem = this->problem();
    for (const Kernel& kernel : linear_kernels()) {
      if (kernel_ == nullptr && kernel.supports(problem).supported) kernel_ = &kernel;
    }
    if (kernel_->workspace != nullptr) workspace_ = allocate_host(kernel_->workspace(problem));
    workspace_bytes_ = kernel_->workspace != nullptr ? kernel_->workspace(problem) : 0;
  }

  std::string_view kernel() const { return kernel_->name; }

  // Seconds of `calls` calls, each on the next copy of the weight.
  double time_calls(int64_t calls, ThreadPool& pool) {
    const auto begin = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < calls; ++i) run(weights_[next_++ % weights_.size()], pool);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    return seconds.count();
  }

 private:
  std::vector<TensorView> inputs(const Tensor& weight) const {
    return {x_.view(), weight.view(), x_.dtype() == DType::kE4M3 ? scale_.view() : TensorView(),
            weight.dtype() == DType::kE4M3 ? scale_.view() : TensorView(), TensorView()};
  }

  Problem problem() const {
    Problem problem{.op = Op::kLinear, .params = params_};
    for (const TensorView& view : inputs(weights_[0])) {
      problem.inputs.push_back({view.shape, view.dtype, view.defined()});
    }
    problem.outputs.push_back({y_.shape(), y_.dtype(), true});
    return problem;
  }

  void run(const Tensor& weight, ThreadPool& pool) const {
    const std::vector<TensorView> in = inputs(weight);
    kernel_->run(
        {.inputs = in, .outputs = {&y_.view(), 1}, .params = &params_},
        {.pool = &pool, .workspace = {workspace_.get(), static_cast<size_t>(workspace_bytes_)}});
  }

  static void fill(const Tensor& tensor) {
    std::mt19937 random(3);
    std::uniform_real_distribution<float> values(-1.0f, 1.0f);
    const int64_t count = tensor.shape().elements();
    for (int64_t i = 0; i < count; ++i) {
      const float value = values(random);
      if (tensor.dtype() == DType::kBF16) tensor.as<bf16>()[i] = to_bf16(value);
      if (tensor.dtype() == DType::kE4M3) tensor.as<e4m3>()[i] = to_e4m3(value * 448.0f);
      if (tensor.dtype() == DType::kF32) tensor.as<float>()[i] = value;
    }
  }

  Tensor x_, y_, scale_;
  std::vector<Tensor> weights_;
  size_t next_ = 0;
  OpParams params_ = LinearParams{};
  const Kernel* kernel_ = nullptr;
  std::shared_ptr<std::byte[]> workspace_;
  int64_t workspace_bytes_ = 0;
};

nlohmann::json bench_decode(const LayerShape& shape, DType x, DType weight, ReadBandwidth& memory,
                            ThreadPool& pool) {
  const int64_t bytes = shape.out * shape.in * size_of(weight);
  LinearBench bench(shape, x, weight, 1, kStreamBytes / bytes + 1);
  const int64_t calls = ceil_div(kWindowBytes, bytes);
  double seconds = 1e30;
  double read_seconds = 1e30;
  for (int window = 0; window < kWindows; ++window) {
    seconds = std::min(seconds, bench.time_calls(calls, pool) / static_cast<double>(calls));
    read_seconds = std::min(read_seconds, memory.time_window(calls * bytes, pool));
  }
  const double rate = static_cast<double>(bytes) / seconds;
  const double read_rate = static_cast<double>(calls * bytes) / read_seconds;
  fmt::print(stderr, "{:13} {:12} x {:12} {:9.1f} us {:6.2f} of {:6.2f} GB/s {:5.1f} %\n",
             shape.name, to_string(weight), to_string(x), seconds * 1e6, rate / 1e9,
             read_rate / 1e9, 100.0 * rate / read_rate);
  return {{"layer", shape.name},
          {"kernel", bench.kernel()},
          {"weight", to_string(weight)},
          {"x", to_string(x)},
          {"rows", 1},
          {"out", shape.out},
          {"in", shape.in},
          {"seconds", seconds},
          {"bytes_per_second", rate},
          {"read_bytes_per_second", read_rate},
          {"share_of_bandwidth", rate / read_rate}};
}

nlohmann::json bench_prefill(const LayerShape& shape, DType x, DType weight, int64_t rows,
                             ThreadPool& pool) {
  LinearBench bench(shape, x, weight, rows, 1);
  const auto onednn = OnednnGemm::make(rows, shape.out, shape.in);
  double seconds = 1e30;
  double onednn_seconds = 1e30;
  for (int pass = 0; pass < kPrefillPasses; ++pass) {
    seconds = std::min(seconds, bench.time_calls(1, pool));
    if (onednn == nullptr) continue;
    onednn_seconds = std::min(onednn_seconds, onednn->time());
    std::this_thread::sleep_for(kSettle);
  }
  const double flops = 2.0 * static_cast<double>(rows * shape.out * shape.in);
  nlohmann::json result = {{"layer", shape.name},
                           {"kernel", bench.kernel()},
                           {"weight", to_string(weight)},
                           {"x", to_string(x)},
                           {"rows", rows},
                           {"out", shape.out},
                           {"in", shape.in},
                           {"seconds", seconds},
                           {"flops_per_second", flops / seconds}};
  std::string baseline = "no oneDNN";
  if (onednn != nullptr) {
    result["onednn_bf16_seconds"] = onednn_seconds;
    result["time_over_onednn"] = seconds / onednn_seconds;
    baseline = fmt::format("oneDNN {:7.1f} GFLOP/s, {:.2f} x its time",
                           flops / onednn_seconds / 1e9, seconds / onednn_seconds);
  }
  fmt::print(stderr, "{:13} {:12} x {:12} rows {:5} {:8.2f} ms {:7.1f} GFLOP/s; {}\n", shape.name,
             to_string(weight), to_string(x), rows, seconds * 1e3, flops / seconds / 1e9, baseline);
  return result;
}

struct Types {
  DType x;
  DType weight;
};
constexpr Types kTypes[] = {
    {DType::kE4M3, DType::kE4M3}, {DType::kBF16, DType::kE4M3}, {DType::kBF16, DType::kBF16}};

nlohmann::json run_all(const std::vector<std::string>& layers) {
  const auto wanted = [&layers](const LayerShape& shape) {
    return layers.empty() || std::find(layers.begin(), layers.end(), shape.name) != layers.end();
  };
  ThreadPool pool;
  const std::string onednn = onednn_version();
  fmt::print(stderr, "{} threads, {}, oneDNN {}\n", pool.size(), to_string(cpu_level()),
             onednn.empty() ? "absent" : onednn);
  nlohmann::json report = {
      {"threads", pool.size()}, {"cpu_level", to_string(cpu_level())}, {"onednn", onednn}};
  ReadBandwidth memory(kStreamBytes);
  for (const LayerShape& shape : kShapes) {
    if (!wanted(shape)) continue;
    for (const Types types : kTypes) {
      report["decode"].push_back(bench_decode(shape, types.x, types.weight, memory, pool));
    }
  }
  for (const LayerShape& shape : kShapes) {
    if (!wanted(shape) || shape.out > 65536) continue;  // the head runs on few rows only
    for (const int64_t rows : kPrefillRows) {
      for (const Types types : kTypes) {
        report["prefill"].push_back(bench_prefill(shape, types.x, types.weight, rows, pool));
      }
    }
  }
  return report;
}

}  // namespace
}  // namespace octavo

int main(int argc, char** argv) {
  CLI::App app("Times the CPU linear kernels on the shapes of Llama-3.2-1B; JSON goes to stdout.");
  std::vector<std::string> layers;
  std::vector<std::string> names;
  for (const octavo::LayerShape& shape : octavo::kShapes) names.emplace_back(shape.name);
  app.add_option("--layer", layers, "a layer to time; repeatable (default: all)")
      ->check(CLI::IsMember(names));
  octavo::CpuLevel level = octavo::detected_cpu_level();
  octavo::add_cpu_level(app, level);
  CLI11_PARSE(app, argc, argv);
  const octavo::CpuLevelLimit limit(level);
  fmt::print("{}\n", octavo::run_all(layers).dump(2));
  return 0;
}
