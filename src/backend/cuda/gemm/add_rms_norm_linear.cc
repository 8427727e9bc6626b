// The kernels of add_rms_norm_linear: in turn, and in one.
// SPDX-License-Identifier: Apache-2.0
#include "ops/add_rms_norm_linear.h"

#include "backend/cuda/gemm/linear.h"
#include "backend/cuda/gemm/normed_low_latency.h"
#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"
#include "ops/add_rms_norm.h"

namespace octavo::cuda {
namespace {

// The norm's kernel and then one of the linear or of linear_swiglu.
template <const Kernel& linear>
struct InTurn {
  static Verdict supports(const Problem& problem) {
    const Problem part = linear_part(problem);
    if (part.op != linear.op)
      return Verdict::no(part.op == Op::kLinear ? "no SwiGLU" : "a SwiGLU behind it");
    const Verdict norm = kAddRmsNorm.supports(norm_part(problem));
    return norm.supported ? linear.supports(part) : norm;
  }
  static int64_t workspace(const Problem& problem) {
    const int64_t more = linear.workspace == nullptr ? 0 : linear.workspace(linear_part(problem));
    return between_bytes(problem.inputs[0].shape) + more;
  }
  static void run(const Operands& operands, const LaunchContext& context) {
    const Shape& shape = operands.inputs[0].shape;
    const auto used = static_cast<size_t>(between_bytes(shape));
    OCTAVO_CHECK(used <= context.workspace.size());
    const TensorView between(context.workspace.data(), DType::kE4M3, shape);
    const NormThenLinear parts(operands, between);
    kAddRmsNorm.run(parts.norm(), context);
    LaunchContext rest = context;
    rest.workspace = context.workspace.subspan(used);
    linear.run(parts.linear(), rest);
  }
  static std::vector<std::string> tactics(const Problem& problem) {
    return linear.tactics == nullptr ? std::vector<std::string>()
                                     : linear.tactics(linear_part(problem));
  }
};

// In one kernel, whose parts are those of the linear alone.
template <const Kernel& linear, bool kSwiglu>
struct Fused {
  static Verdict supports(const Problem& problem) {
    const Verdict parts = InTurn<linear>::supports(problem);
    if (!parts.supported) return parts;
    const Shape& x = problem.inputs[0].shape;
    if (problem.inputs[0].dtype != DType::kBF16)
      return Verdict::no(fmt::format("x of {}", to_string(problem.inputs[0].dtype)));
    if (x[0] > kNormedMaxTokens)
      return Verdict::no(fmt::format("{} rows, at most {}", x[0], kNormedMaxTokens));
    if (x[1] > kNormedMaxColumns)
      return Verdict::no(fmt::format("{} columns, at most {}", x[1], kNormedMaxColumns));
    if (problem.inputs[2].shape[0] != x[1]) return Verdict::no("a norm of parts of a row");
    return Verdict::yes();
  }

  static void run(const Operands& operands, const LaunchContext& context) {
    const TensorView& x = operands.inputs[0];
    const NormThenLinear parts(operands, TensorView(nullptr, DType::kE4M3, x.shape));
    const NormRows rows = rows_of(AddRmsNormArgs::bind(parts.norm()));
    if (rows.vector != 8) return InTurn<linear>::run(operands, context);
    if (rows.rows == 0) return;
    const LowLatencyGemm gemm =
        kSwiglu ? low_latency_swiglu_gemm(LinearSwigluArgs::bind(parts.linear()))
                : low_latency_gemm(LinearArgs::bind(parts.linear()));
    const NormedLowLatencyGemm normed = {gemm, rows, norm_layout(rows.width, rows.vector).threads};
    const auto config = normed_with_tactic(
        normed_low_latency_config(gemm.n, gemm.k, multiprocessor_count()), context.tactic, gemm.k);
    const auto launch = kSwiglu ? launch_normed_low_latency_swiglu : launch_normed_low_latency;
    launch(normed, config, on(context));
  }
};

// No more than what it runs: whether a row's result depends on others, and the plugin.
constexpr KernelTraits in_turn(std::string_view plugin, bool library = false) {
  return {.device = DeviceType::kCuda,
          .programmatic = !library,
          .batch_invariant = !library,
          .unfused = true,
          .only_major = 9,
          .plugin = plugin};
}
constexpr KernelTraits in_one(std::string_view plugin) {
  return {.device = DeviceType::kCuda, .programmatic = true, .only_major = 9, .plugin = plugin};
}

constexpr std::string_view kPlugin = "low_latency_gemm_plugin";
constexpr std::string_view kSwigluPlugin = "low_latency_gemm_swiglu_plugin";

template <const Kernel& linear>
constexpr Kernel kernel_in_turn(std::string_view name, const KernelTraits& traits) {
  using Parts = InTurn<linear>;
  return {name,       Op::kAddRmsNormLinear, traits, Parts::supports, Parts::workspace,
          Parts::run, Parts::tactics};
}
template <const Kernel& linear, bool kSwiglu>
constexpr Kernel kernel_in_one(std::string_view name, std::string_view plugin) {
  return {name,
          Op::kAddRmsNormLinear,
          in_one(plugin),
          Fused<linear, kSwiglu>::supports,
          InTurn<linear>::workspace,
          Fused<linear, kSwiglu>::run};
}

}  // namespace

const Kernel kAddRmsNormLinearInTurn =
    kernel_in_turn<kLinearLowLatency>("cuda_add_rms_norm_linear_in_turn", in_turn(kPlugin));
const Kernel kAddRmsNormLinearCublasLtInTurn = kernel_in_turn<kLinearCublasLt>(
    "cuda_add_rms_norm_linear_cublaslt_in_turn", in_turn("gemm_plugin", /*library=*/true));
const Kernel kAddRmsNormLinearSwigluInTurn = kernel_in_turn<kLinearSwigluLowLatency>(
    "cuda_add_rms_norm_linear_swiglu_in_turn", in_turn(kSwigluPlugin));
const Kernel kAddRmsNormLinear =
    kernel_in_one<kLinearLowLatency, /*kSwiglu=*/false>("cuda_add_rms_norm_linear", kPlugin);
const Kernel kAddRmsNormLinearSwiglu = kernel_in_one<kLinearSwigluLowLatency, /*kSwiglu=*/true>(
    "cuda_add_rms_norm_linear_swiglu", kSwigluPlugin);

}  // namespace octavo::cuda
