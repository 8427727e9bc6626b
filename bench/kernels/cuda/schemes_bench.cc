// Benchmarks of the FP8 schemes: every kernel of a scheme's linear in turns with those of one scale
// a tensor, and the codes of its input.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/kernels.h"
#include "core/error.h"
#include "core/quant_scheme.h"
#include "kernels/cuda/turns.h"
#include "ops/quantize_dynamic.h"

namespace octavo::bench {
namespace {

constexpr int64_t kMostTokens = 2048;
constexpr int64_t kWidest = 28672;
constexpr int64_t kDeepest = 14336;
constexpr size_t kWeightBytes = size_t{1} << 30;
constexpr size_t kMostTactics = 4;  // of the library's, in its order
constexpr size_t kWorkspaceBytes = size_t{40} << 20;

struct LinearShape {
  const char* name;
  int64_t n, k;
};
constexpr LinearShape kShapes[] = {{"8B qkv", 6144, 4096},
                                   {"8B o", 4096, 4096},
                                   {"8B gate_up", 28672, 4096},
                                   {"8B down", 4096, 14336}};

struct Scheme {
  const char* name;
  LinearScheme of;
};
constexpr Scheme kSchemes[] = {
    {"fp8", kFp8Linear}, {"fp8_pc_pt", kFp8PerChannelPerToken}, {"fp8_block", kFp8Block}};

// A call of an op on views, as kernels get it.
struct Call {
  std::vector<TensorView> inputs, outputs;
  OpParams params;

  Problem problem(Op op) const {
    Problem problem;
    problem.op = op;
    problem.params = params;
    const auto describe = [](const TensorView& view) {
      return Problem::Operand{view.shape, view.dtype, view.defined()};
    };
    for (const TensorView& view : inputs) problem.inputs.push_back(describe(view));
    for (const TensorView& view : outputs) problem.outputs.push_back(describe(view));
    return problem;
  }
};

class SchemesBench {
 public:
  explicit SchemesBench(Bench& bench)
      : bench_(bench),
        x_(bench.arena.take(kMostTokens * kDeepest * 2)),
        codes_(bench.arena.take(kMostTokens * kDeepest)),
        y_(bench.arena.take(kMostTokens * kWidest * 2)),
        scales_(bench.arena.take(kScaleBytes)),
        workspace_(bench.arena.take(kWorkspaceBytes)),
        weights_(bench.arena.take(kWeightBytes)) {
    // Scales near 2^-9: codes of the arena's pattern as floats would be anything.
    const std::vector<float> values(kScaleBytes / 4, 1.0f / 512);
    OCTAVO_CUDA_CHECK(
        cudaMemcpy(scales_, values.data(), values.size() * 4, cudaMemcpyHostToDevice));
  }

  // Every kernel and tactic of every scheme, in turns; a scheme's best beside the best of fp8.
  void run_linear(const LinearShape& shape, int64_t m) {
    std::vector<Candidate> candidates;
    std::vector<const char*> scheme_of;
    for (const Scheme& scheme : kSchemes) {
      add_kernels(shape, m, scheme, candidates);
      scheme_of.resize(candidates.size(), scheme.name);
    }
    const size_t bytes = static_cast<size_t>(shape.n * shape.k);
    const int calls = m > 64 ? 3 : std::max(6, static_cast<int>((size_t{200} << 20) / bytes) + 1);
    time_in_turns(bench_, calls, candidates);
    double per_tensor = 1e30;
    for (size_t i = 0; i < candidates.size(); ++i) {
      if (scheme_of[i] == std::string_view("fp8"))
        per_tensor = std::min<double>(per_tensor, candidates[i].median());
    }
    for (size_t i = 0; i < candidates.size(); ++i) {
      const double us = candidates[i].median();
      bench_.results.add(
          R"({{"group": "schemes", "shape": "{}", "m": {}, "scheme": "{}", "kernel": "{}", )"
          R"("us": {:.2f}, "speed_of_fp8": {:.3f}, "tflops": {:.0f}, "weight_gb_s": {:.0f}}})",
          shape.name, m, scheme_of[i], candidates[i].name, us, per_tensor / us,
          2.0 * static_cast<double>(m * shape.n * shape.k) / us * 1e-6,
          static_cast<double>(bytes) / us * 1e-3);
    }
  }

  // The codes of a linear's input: with a static scale, a scale a token, a scale a token and 128.
  void run_inputs(int64_t m, int64_t columns) {
    std::vector<Candidate> candidates;
    for (const int64_t group : {int64_t{-1}, int64_t{0}, int64_t{128}}) {
      Call call;
      const TensorView x(x_, DType::kBF16, {m, columns}), codes(codes_, DType::kE4M3, {m, columns});
      if (group < 0) {
        call = {.inputs = {x, scale({1})}, .outputs = {codes}, .params = {}};
      } else {
        const int64_t groups = group == 0 ? 1 : columns / group;
        call = {.inputs = {x},
                .outputs = {scale({m, groups}, kMadeScales), codes},
                .params = QuantizeParams{.group = group}};
      }
      add(candidates, group < 0 ? "cuda_quantize" : "cuda_quantize_dynamic", call,
          group < 0 ? "static" : fmt::format("by {}", group), [](Call&, int) {});
    }
    time_in_turns(bench_, 20, candidates);
    for (Candidate& candidate : candidates)
      bench_.results.add(
          R"({{"group": "schemes_inputs", "m": {}, "columns": {}, "scales": "{}", "us": {:.2f}}})",
          m, columns, candidate.name, candidate.median());
  }

 private:
  static constexpr size_t kScaleBytes = size_t{16} << 20;
  static constexpr size_t kWeightScales = size_t{8} << 20;  // where they start
  static constexpr size_t kMadeScales = size_t{12} << 20;

  TensorView scale(Shape shape, size_t offset = 0) const {
    return TensorView(scales_ + offset, DType::kF32, shape);
  }

  void add_kernels(const LinearShape& shape, int64_t m, const Scheme& scheme,
                   std::vector<Candidate>& candidates) {
    const QuantScheme &inputs = scheme.of.inputs, &weights = scheme.of.weights;
    LinearParams params;
    Shape input_scale = {1}, weight_scale = {1};
    if (inputs.dynamic) {
      params.block_rows = weights.block_rows;
      params.block_columns = weights.block_columns;
      input_scale = scale_shape(inputs, m, shape.k);
      weight_scale = scale_shape(weights, shape.n, shape.k);
    }
    const Call call = {
        .inputs = {TensorView(codes_, DType::kE4M3, {m, shape.k}),
                   TensorView(weights_, DType::kE4M3, {shape.n, shape.k}), scale(input_scale),
                   scale(weight_scale, kWeightScales), TensorView()},
        .outputs = {TensorView(y_, DType::kBF16, {m, shape.n})},
        .params = params};
    const size_t bytes = static_cast<size_t>(shape.n * shape.k);
    const auto next_weight = [this, bytes](Call& made, int index) {
      made.inputs[1].data = weights_ + static_cast<size_t>(index) % (kWeightBytes / bytes) * bytes;
    };
    const Problem problem = call.problem(Op::kLinear);
    for (const Kernel& kernel : cuda_kernels()) {
      if (kernel.op != Op::kLinear || kernel.traits.fallback || !kernel.supports(problem).supported)
        continue;
      std::vector<std::string> tactics;
      if (kernel.tactics != nullptr) tactics = kernel.tactics(problem);
      if (kernel.tactics != nullptr && tactics.empty()) continue;  // the library has nothing
      if (tactics.empty()) tactics.emplace_back();
      tactics.resize(std::min(tactics.size(), kMostTactics));
      for (const std::string& tactic : tactics)
        add(candidates, kernel.name, call, fmt::format("{} {}", kernel.name, tactic), next_weight,
            tactic);
    }
  }

  // Own kernels are launched as the engine launches them, programmatically.
  template <typename Change>
  void add(std::vector<Candidate>& candidates, std::string_view kernel_name, const Call& call,
           std::string name, const Change& change, std::string tactic = {}) {
    const auto kernels = cuda_kernels();
    const auto kernel = std::find_if(kernels.begin(), kernels.end(),
                                     [&](const Kernel& one) { return one.name == kernel_name; });
    candidates.push_back({std::move(name), [=, this, run = kernel->run](int index) {
                            Call made = call;
                            change(made, index);
                            LaunchContext context;
                            context.stream = static_cast<cudaStream_t>(bench_.stream);
                            context.programmatic_launch = true;
                            context.workspace = {workspace_, kWorkspaceBytes};
                            context.tactic = tactic;
                            run({made.inputs, made.outputs, &made.params}, context);
                          }});
  }

  Bench& bench_;
  std::byte *x_, *codes_, *y_, *scales_, *workspace_, *weights_;
};

}  // namespace

void bench_schemes(Bench& bench) {
  SchemesBench schemes(bench);
  for (const int64_t m : {1, 16, 64, 2048}) {
    for (const int64_t columns : {4096, 14336}) schemes.run_inputs(m, columns);
    for (const LinearShape& shape : kShapes) schemes.run_linear(shape, m);
  }
}

}  // namespace octavo::bench
