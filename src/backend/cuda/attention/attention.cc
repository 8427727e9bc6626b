// The kernels cuda_attention_decode, _context, _context_fp8, _context_portable and _reference.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/attention/attention.h"

#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"
#include "ops/attention.h"

namespace octavo::cuda {
namespace {

// What both tensor core kernels ask for.
Verdict supports_tiles(const Problem& problem) {
  const auto& params = std::get<AttentionParams>(problem.params);
  const Problem::Operand& cache = problem.inputs[1];
  if (problem.inputs[0].dtype != DType::kBF16)
    return Verdict::no(fmt::format("q of {}", to_string(problem.inputs[0].dtype)));
  if (cache.dtype != DType::kBF16 && cache.dtype != DType::kE4M3)
    return Verdict::no(fmt::format("a cache of {}", to_string(cache.dtype)));
  if (params.head_dim != 64 && params.head_dim != 128)
    return Verdict::no(fmt::format("head_dim {} is neither 64 nor 128", params.head_dim));
  if (params.num_heads / params.num_kv_heads > 16)
    return Verdict::no(fmt::format("{} query heads a KV head, at most 16",
                                   params.num_heads / params.num_kv_heads));
  if (cache.shape[2] % 16 != 0)
    return Verdict::no(fmt::format("{} tokens a block, not a multiple of 16", cache.shape[2]));
  return check_activations(problem, {0});
}

Verdict supports_fp8(const Problem& problem) {
  if (problem.inputs[1].dtype != DType::kE4M3)
    return Verdict::no(fmt::format("a cache of {}", to_string(problem.inputs[1].dtype)));
  return supports_tiles(problem);
}

// A step of at most one row a sequence; longer queries are right, but slow.
Verdict supports_decode(const Problem& problem) {
  if (problem.inputs[0].shape[0] != problem.inputs[3].shape[0])
    return Verdict::no("more rows than sequences");
  return supports_tiles(problem);
}

Verdict supports_reference(const Problem& problem) {
  const DType q = problem.inputs[0].dtype;
  const DType cache = problem.inputs[1].dtype;
  if (cache != DType::kE4M3 && !is_activation(cache))
    return Verdict::no(fmt::format("a cache of {}", to_string(cache)));
  if (std::get<AttentionParams>(problem.params).head_dim > 512)
    return Verdict::no("head_dim over 512");
  if (!is_activation(q)) return Verdict::no(fmt::format("q of {}", to_string(q)));
  return check_activations(problem, {0});
}

void run_decode(const Operands& operands, const LaunchContext& context) {
  const AttentionCall call = bind_attention(operands);
  const DecodePlan plan = plan_decode(call.sequences, call.kv_heads, multiprocessors());
  launch_attention_decode(call, with_tactic(plan, context.tactic), on(context));
}

// Sequences with one row stream their keys; the others are tiled. The two launches write different
// rows, and the second depends on the first as any kernel on its predecessor. A lone sequence with
// several rows needs no first launch.
using LaunchTiles = void(const AttentionCall&, const QueryRange&, const Launch&);
void run_tiles(const Operands& operands, const LaunchContext& context, LaunchTiles* hopper) {
  const AttentionCall call = bind_attention(operands);
  const bool aligned = rows_aligned(operands.inputs[0], 8) && rows_aligned(operands.outputs[0], 8);
  const bool alone = call.sequences == 1 && call.tokens > 1;
  if (!alone) {
    DecodePlan plan = plan_decode(call.sequences, call.kv_heads, multiprocessors());
    plan.queries = {.least = 1, .most = 1};
    plan.zero_rows = false;
    launch_attention_decode(call, plan, on(context));
  }
  LaunchTiles* const launch_tiles = aligned ? hopper : launch_attention_context_portable;
  launch_tiles(call, {.least = alone ? 1 : 2}, on(context));
}

void run_context(const Operands& operands, const LaunchContext& context) {
  run_tiles(operands, context, launch_attention_context);
}

void run_context_fp8(const Operands& operands, const LaunchContext& context) {
  run_tiles(operands, context, launch_attention_context_fp8);
}

void run_context_portable(const Operands& operands, const LaunchContext& context) {
  launch_attention_context_portable(bind_attention(operands), {.least = 1}, on(context));
}

void run_reference(const Operands& operands, const LaunchContext& context) {
  launch_attention_reference(bind_attention(operands), on(context));
}

// The split of the keys, and so the order of summation, follows the number of sequences; nothing
// else of the batch counts.
constexpr KernelTraits kHopperTraits = {
    .device = DeviceType::kCuda, .programmatic = true, .batch_invariant = false, .only_major = 9};
constexpr KernelTraits kFp8Traits = {.device = DeviceType::kCuda,
                                     .programmatic = true,
                                     .batch_invariant = false,
                                     .only_major = 9,
                                     .plugin = "use_fp8_context_fmha"};
constexpr KernelTraits kPortableTraits = {
    .device = DeviceType::kCuda, .programmatic = true, .batch_invariant = false};
constexpr KernelTraits kReferenceTraits = {
    .device = DeviceType::kCuda, .programmatic = true, .fallback = true};

}  // namespace

AttentionCall bind_attention(const Operands& operands) {
  const auto args = AttentionArgs::bind(operands);
  return {.q = args.q.data,
          .k_cache = args.k_cache.data,
          .v_cache = args.v_cache.data,
          .query_start = args.query_start.as<const int32_t>(),
          .query_length = args.query_length.as<const int32_t>(),
          .kv_length = args.kv_length.as<const int32_t>(),
          .block_table = args.block_table.as<const int32_t>(),
          .k_scale = args.k_scale.as<const float>(),
          .v_scale = args.v_scale.as<const float>(),
          .output_scale = args.output_scale.as<const float>(),
          .y = args.y.data,
          .q_stride = args.q.row_stride,
          .y_stride = args.y.row_stride,
          .table_stride = args.block_table.row_stride,
          .tokens = args.q.rows(),
          .cache_blocks = args.k_cache.shape[0],
          .sequences = static_cast<int>(args.query_start.rows()),
          .table_width = static_cast<int>(args.block_table.columns()),
          .tokens_per_block = static_cast<int>(args.k_cache.shape[2]),
          .heads = static_cast<int>(args.params->num_heads),
          .kv_heads = static_cast<int>(args.params->num_kv_heads),
          .head_dim = static_cast<int>(args.params->head_dim),
          .softmax_scale = args.params->softmax_scale,
          .window = args.params->window,
          .activation = args.q.dtype,
          .cache = args.k_cache.dtype,
          .output = args.y.dtype};
}

int multiprocessors() {
  int device = 0;
  int count = 0;
  OCTAVO_CUDA_CHECK(cudaGetDevice(&device));
  OCTAVO_CUDA_CHECK(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return count;
}

const Kernel kAttentionDecode = {"cuda_attention_decode", Op::kAttention, kHopperTraits,
                                 supports_decode,         nullptr,        run_decode};
const Kernel kAttentionContext = {"cuda_attention_context", Op::kAttention, kHopperTraits,
                                  supports_tiles,           nullptr,        run_context};
const Kernel kAttentionContextFp8 = {"cuda_attention_context_fp8",
                                     Op::kAttention,
                                     kFp8Traits,
                                     supports_fp8,
                                     nullptr,
                                     run_context_fp8};
const Kernel kAttentionContextPortable = {"cuda_attention_context_portable",
                                          Op::kAttention,
                                          kPortableTraits,
                                          supports_tiles,
                                          nullptr,
                                          run_context_portable};
const Kernel kAttentionReference = {"cuda_attention_reference", Op::kAttention, kReferenceTraits,
                                    supports_reference,         nullptr,        run_reference};

}  // namespace octavo::cuda
