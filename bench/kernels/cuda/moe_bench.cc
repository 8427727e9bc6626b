// Benchmarks of a mixture of experts: Mixtral-8x7B's linears beside cuBLASLt, and a whole mixture.
// SPDX-License-Identifier: Apache-2.0
#include <numeric>
#include <random>
#include <set>

#include "backend/cuda/gemm/cublaslt.h"
#include "backend/cuda/kernels.h"
#include "core/error.h"
#include "kernels/cuda/turns.h"
#include "ops/kernel.h"

namespace octavo::bench {
namespace {

constexpr double kPeakBytes = 4.66e12;  // measured: a read-only kernel over 8 GiB
constexpr int64_t kExperts = 8, kTopK = 2, kHidden = 4096, kIntermediate = 14336;
constexpr int64_t kMostRows = 2048 * kTopK;
constexpr size_t kWeightBytes = size_t{4} << 30;

struct Shape3 {
  const char* name;
  int64_t n, k, segments;
};

// A call of an op on views, as kernels get it.
struct Call {
  Op op;
  OpParams params;
  std::vector<TensorView> inputs, outputs;

  Problem problem() const {
    Problem problem{.op = op, .params = params};
    const auto describe = [](const TensorView& view) {
      return Problem::Operand{view.shape, view.dtype, view.defined()};
    };
    for (const TensorView& view : inputs) problem.inputs.push_back(describe(view));
    for (const TensorView& view : outputs) problem.outputs.push_back(describe(view));
    return problem;
  }
  void run(const Kernel& kernel, cudaStream_t stream) const {
    kernel.run({inputs, outputs, &params}, {.stream = stream, .programmatic_launch = true});
  }
};

// Random choices of tokens: rows of each expert.
std::vector<int32_t> random_counts(int64_t tokens) {
  std::mt19937 random(static_cast<uint32_t>(tokens));
  std::vector<int32_t> counts(kExperts);
  for (int64_t token = 0; token < tokens; ++token) {
    const auto first = static_cast<size_t>(random() % kExperts);
    const auto second = (first + 1 + random() % (kExperts - 1)) % kExperts;
    ++counts[first];
    ++counts[second];
  }
  return counts;
}

class MoeBench {
 public:
  explicit MoeBench(Bench& bench)
      : bench_(bench),
        x_(bench.arena.take(kMostRows * kIntermediate * 2)),
        y_(bench.arena.take(kMostRows * kIntermediate * 4)),
        hidden_(bench.arena.take(kMostRows * kHidden * 2)),
        permuted_(bench.arena.take(kMostRows * kHidden * 2)),
        small_(bench.arena.take(1 << 20)),
        workspace_{bench.arena.take(cuda::kLtWorkspaceBytes), cuda::kLtWorkspaceBytes},
        weights_(bench.arena.take(kWeightBytes)) {
    // Scales near 2^-9: codes of the arena's pattern as floats would be anything.
    const std::vector<float> scales(1024, 1.0f / 512);
    OCTAVO_CUDA_CHECK(cudaMemcpy(small_, scales.data(), 4096, cudaMemcpyHostToDevice));
  }

  // One linear: every kernel of ours in turns with a loop of cuBLASLt's products, an expert each,
  // for offsets that the host knows.
  void run_linear(const Shape3& shape, int64_t tokens, DType type) {
    const std::vector<int32_t> counts = set_routing(tokens);
    std::vector<Candidate> candidates = {library(shape, counts, type)};
    for (const Kernel& kernel : cuda_kernels()) {
      const Call call = linear(shape, tokens, type, 0);
      if (kernel.op != Op::kGroupedLinear || kernel.traits.fallback ||
          !kernel.supports(call.problem()).supported)
        continue;
      candidates.push_back({std::string(kernel.name), [=, this, &kernel](int i) {
                              linear(shape, tokens, type, i).run(kernel, bench_.stream);
                            }});
    }
    time_in_turns(bench_, tokens >= 256 ? 3 : 8, candidates);
    const auto active = std::ranges::count_if(counts, [](int32_t count) { return count > 0; });
    const double bytes = static_cast<double>(active * shape.n * shape.k * size_of(type));
    const double floor_us = bytes / kPeakBytes * 1e6;
    std::string each;
    double best = 1e30;
    for (size_t i = 1; i < candidates.size(); ++i) {
      each += fmt::format("{}\"{}\": {:.2f}", i == 1 ? "" : ", ", candidates[i].name,
                          candidates[i].median());
      best = std::min(best, candidates[i].median());
    }
    bench_.results.add(
        R"({{"group": "moe", "shape": "{}", "type": "{}", "m": {}, "active": {}, )"
        R"("floor_us": {:.2f}, "cublaslt_loop_us": {:.2f}, "best_us": {:.2f}, "share": {:.3f}, )"
        R"("tflops": {:.0f}, "kernels": {{{}}}}})",
        shape.name, to_string(type), tokens, active, floor_us, candidates[0].median(), best,
        floor_us / best,
        2.0 * static_cast<double>(tokens * kTopK * shape.n * shape.k) / best * 1e-6, each);
  }

  // The linear of gate and up with SwiGLU behind it, in turns with the two kernels that stand
  // first.
  void run_swiglu(const char* name, int64_t tokens, int64_t intermediate) {
    set_routing(tokens);
    const Shape3 both = {name, 2 * intermediate, kHidden, 2};
    const auto swiglu = [this, rows = tokens * kTopK, intermediate] {
      TensorView gate(y_, DType::kBF16, {rows, intermediate});
      gate.row_stride = 2 * intermediate;
      TensorView up = gate;
      up.data += intermediate * 2;
      return Call{Op::kGroupedSwiglu,
                  {},
                  {gate, up, scales(kExperts), offsets()},
                  {TensorView(x_ + kMostRows * kHidden, DType::kE4M3, {rows, intermediate})}};
    }();
    const auto fused = [=, this](int i) {
      Call call = linear(both, tokens, DType::kE4M3, i);
      call.op = Op::kGroupedLinearSwiglu;
      call.inputs.push_back(scales(kExperts));
      call.outputs = swiglu.outputs;
      return call;
    };
    const Kernel& first = *first_of(linear(both, tokens, DType::kE4M3, 0).problem());
    const Kernel& second = *first_of(swiglu.problem());
    std::vector<Candidate> candidates = {
        {"unfused", [=, this, &first, &second](int i) {
           linear(both, tokens, DType::kE4M3, i).run(first, bench_.stream);
           swiglu.run(second, bench_.stream);
         }}};
    for (const Kernel& kernel : cuda_kernels()) {
      if (kernel.op != Op::kGroupedLinearSwiglu || !kernel.supports(fused(0).problem()).supported)
        continue;
      candidates.push_back({std::string(kernel.name),
                            [=, this, &kernel](int i) { fused(i).run(kernel, bench_.stream); }});
    }
    time_in_turns(bench_, tokens >= 256 ? 3 : 8, candidates);
    for (Candidate& one : candidates)
      bench_.results.add(
          R"({{"group": "moe_swiglu", "shape": "{}", "m": {}, "kernel": "{}", "us": {:.2f}}})",
          name, tokens, one.name, one.median());
  }

  // From the router's logits to the sum of a token's experts, by the kernels that stand first.
  void run_mixture(int64_t tokens, int64_t intermediate) {
    set_routing(tokens);
    const std::vector<Call> calls = mixture(tokens, intermediate);
    std::vector<const Kernel*> kernels;
    std::string names;
    for (const Call& call : calls) {
      kernels.push_back(first_of(call.problem()));
      names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", kernels.back()->name);
    }
    std::vector<Candidate> candidates;
    for (size_t only = 0; only <= calls.size(); ++only) {
      candidates.push_back({"", [&, only](int) {
                              for (size_t i = 0; i < calls.size(); ++i) {
                                if (only == calls.size() || only == i)
                                  calls[i].run(*kernels[i], bench_.stream);
                              }
                            }});
    }
    time_in_turns(bench_, 4, candidates);
    std::string each;
    for (size_t i = 0; i < calls.size(); ++i)
      each += fmt::format("{}{:.2f}", i == 0 ? "" : ", ", candidates[i].median());
    bench_.results.add(R"({{"group": "moe_mixture", "m": {}, "intermediate": {}, "us": {:.2f}, )"
                       R"("kernels": [{}], "each_us": [{}]}})",
                       tokens, intermediate, candidates.back().median(), names, each);
  }

 private:
  // Regions of small_: scales, then what routing is made of.
  TensorView region(size_t offset, DType type, Shape shape) const {
    return TensorView(small_ + offset, type, shape);
  }
  TensorView scales(int64_t count) const { return region(0, DType::kF32, {count}); }
  TensorView offsets() const { return region(4096, DType::kI32, {kExperts + 1}); }

  std::vector<int32_t> set_routing(int64_t tokens) const {
    const std::vector<int32_t> counts = random_counts(tokens);
    std::vector<int32_t> ends = {0};
    for (const int32_t count : counts) ends.push_back(ends.back() + count);
    OCTAVO_CUDA_CHECK(
        cudaMemcpy(offsets().data, ends.data(), ends.size() * 4, cudaMemcpyHostToDevice));
    // Logits that give these rows to experts: drawn the same way.
    std::mt19937 random(static_cast<uint32_t>(tokens));
    std::vector<float> logits(static_cast<size_t>(tokens * kExperts));
    for (float& logit : logits) logit = static_cast<float>(random() % 4096) / 1024.0f;
    OCTAVO_CUDA_CHECK(
        cudaMemcpy(small_ + 8192, logits.data(), logits.size() * 4, cudaMemcpyHostToDevice));
    return counts;
  }

  TensorView stack(int64_t n, int64_t k, DType type, size_t at) const {
    const size_t bytes = static_cast<size_t>(kExperts * n * k * size_of(type));
    return TensorView(weights_ + at % (kWeightBytes / bytes) * bytes, type, {kExperts, n, k});
  }

  Call linear(const Shape3& shape, int64_t tokens, DType type, int call) const {
    const int64_t rows = tokens * kTopK;
    const bool codes = type == DType::kE4M3;
    LinearParams params;
    if (shape.segments > 1) params.segment_rows = {shape.n / 2, shape.n / 2};
    return {.op = Op::kGroupedLinear,
            .params = params,
            .inputs = {TensorView(x_, type, {rows, shape.k}),
                       stack(shape.n, shape.k, type, static_cast<size_t>(call)),
                       codes ? scales(kExperts) : TensorView(),
                       codes ? scales(kExperts * shape.segments) : TensorView(), offsets()},
            .outputs = {TensorView(y_, DType::kBF16, {rows, shape.n})}};
  }

  Candidate library(const Shape3& shape, const std::vector<int32_t>& counts, DType type) const {
    std::vector<std::shared_ptr<const cuda::LtPlan>> plans;
    for (const int32_t count : counts) {
      plans.push_back(count == 0 ? nullptr
                                 : cuda::LtPlan::find({.m = count,
                                                       .n = shape.n,
                                                       .k = shape.k,
                                                       .x_stride = shape.k,
                                                       .weight_stride = shape.k,
                                                       .y_stride = shape.n,
                                                       .operand = type,
                                                       .y = DType::kBF16,
                                                       .bias = false,
                                                       .scales = type == DType::kE4M3
                                                                     ? cuda::LtScales::kScalar
                                                                     : cuda::LtScales::kNone}));
      if (count > 0 && plans.back() == nullptr)
        throw Error(ErrorCategory::kUnsupported, "[bench] cuBLASLt: no plan");
    }
    return {"cublaslt", [=, this](int call) {
              const TensorView weight = stack(shape.n, shape.k, type, static_cast<size_t>(call));
              const auto* scale = scales(1).as<float>();
              int64_t row = 0;
              for (size_t e = 0; e < plans.size(); row += counts[e++]) {
                if (plans[e] == nullptr) continue;
                plans[e]->run(
                    {x_ + row * shape.k * size_of(type),
                     weight.data + static_cast<int64_t>(e) * shape.n * shape.k * size_of(type),
                     scale, scale, nullptr, y_ + row * shape.n * 2},
                    workspace_, bench_.stream);
              }
            }};
  }

  std::vector<Call> mixture(int64_t tokens, int64_t intermediate) const {
    const int64_t rows = tokens * kTopK, both = 2 * intermediate;
    const TensorView logits = region(8192, DType::kF32, {tokens, kExperts});
    const TensorView chosen = region(1 << 18, DType::kI32, {tokens, kTopK});
    const TensorView weights = region(1 << 18 | 1 << 16, DType::kF32, {tokens, kTopK});
    const TensorView places = region(1 << 19, DType::kI32, {tokens, kTopK});
    const TensorView x(hidden_, DType::kBF16, {tokens, kHidden});
    const TensorView copies(permuted_, DType::kBF16, {rows, kHidden});
    const TensorView codes(x_, DType::kE4M3, {rows, kHidden});
    TensorView gate(y_, DType::kBF16, {rows, intermediate});
    gate.row_stride = both;
    TensorView up = gate;
    up.data += intermediate * 2;
    const TensorView activated(x_, DType::kE4M3, {rows, intermediate});
    const TensorView down(permuted_, DType::kBF16, {rows, kHidden});
    const LinearParams merged{.segment_rows = {intermediate, intermediate}};
    return {
        {Op::kRoute, RouteParams{kTopK, true}, {logits, {}}, {chosen, weights}},
        {Op::kPermute, PermuteParams{kExperts}, {x, chosen}, {places, offsets(), copies}},
        {Op::kGroupedQuantize, {}, {copies, scales(kExperts), offsets()}, {codes}},
        {Op::kGroupedLinear,
         merged,
         {codes, stack(both, kHidden, DType::kE4M3, 0), scales(kExperts), scales(2 * kExperts),
          offsets()},
         {TensorView(y_, DType::kBF16, {rows, both})}},
        {Op::kGroupedSwiglu, {}, {gate, up, scales(kExperts), offsets()}, {activated}},
        {Op::kGroupedLinear,
         LinearParams{},
         {activated, stack(kHidden, intermediate, DType::kE4M3, 1), scales(kExperts),
          scales(kExperts), offsets()},
         {down}},
        {Op::kCombine, {}, {down, places, weights}, {x}},
    };
  }

  static const Kernel* first_of(const Problem& problem) {
    for (const Kernel& kernel : cuda_kernels()) {
      if (kernel.op == problem.op && kernel.supports(problem).supported) return &kernel;
    }
    throw Error(ErrorCategory::kUnsupported, "[bench] no kernel");
  }

  Bench& bench_;
  std::byte *x_, *y_, *hidden_, *permuted_, *small_;
  cuda::LtWorkspace workspace_;
  std::byte* weights_;
};

}  // namespace

void bench_moe(Bench& bench) {
  constexpr Shape3 kShapes[] = {{"8x7B gate_up", 2 * kIntermediate, kHidden, 2},
                                {"8x7B down", kHidden, kIntermediate, 1},
                                {"8x7B/4 gate_up", kIntermediate / 2, kHidden, 2},
                                {"8x7B/4 down", kHidden, kIntermediate / 4, 1}};
  MoeBench moe(bench);
  for (const int64_t tokens : {1, 16, 64, 256, 2048}) {
    for (const Shape3& shape : kShapes) {
      for (const DType type : {DType::kE4M3, DType::kBF16}) moe.run_linear(shape, tokens, type);
    }
    moe.run_swiglu("8x7B gate_up", tokens, kIntermediate);
    moe.run_swiglu("8x7B/4 gate_up", tokens, kIntermediate / 4);
    for (const int64_t ranks : {1, 4}) moe.run_mixture(tokens, kIntermediate / ranks);
  }
}

}  // namespace octavo::bench
