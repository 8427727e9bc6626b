// What the kernels of experts' linears ask of a Problem alike, and their arguments.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/grouped_problem.h"

#include <algorithm>

#include "backend/cuda/gemm/linear.h"
#include "backend/cuda/problem.h"
#include "core/checked.h"

namespace octavo::cuda {

Verdict check_grouped_sizes(const Problem& problem) {
  const Shape &x = problem.inputs[0].shape, &weight = problem.inputs[1].shape;
  constexpr int64_t kMost = INT32_MAX / 2;
  const int64_t weight_rows = weight[0] * weight[1] * rows_in_row(problem.inputs[1].dtype);
  if (x[0] > kMost || x[1] > kMost || weight_rows > kMost)
    return Verdict::no("an operand of 2^30 rows or columns");
  const size_t segments = std::get<LinearParams>(problem.params).segment_rows.size();
  if (segments > kGroupedMaxSegments) return Verdict::no(fmt::format("{} segments", segments));
  return Verdict::yes();
}

std::string types_of(const Problem& problem) {
  return fmt::format("x of {} and weight of {}", to_string(problem.inputs[0].dtype),
                     to_string(problem.inputs[1].dtype));
}

GroupedGemm grouped_gemm(const GroupedLinearArgs& args) {
  const LinearParams& params = *args.params;
  GroupedGemm gemm = {};
  gemm.x = args.x.data;
  gemm.weight = args.weight.data;
  gemm.input_scale = args.input_scale.as<const float>();
  gemm.weight_scale = args.weight_scale.as<const float>();
  gemm.offsets = args.offsets.as<const int32_t>();
  gemm.x_stride = args.x.row_stride;
  gemm.rows = args.x.rows();
  gemm.n = static_cast<int>(args.weight.shape[1] * rows_in_row(args.weight.dtype));
  gemm.k = static_cast<int>(args.x.columns());
  gemm.experts = static_cast<int>(args.experts());
  for (const int64_t end : segment_ends(params, gemm.n))
    gemm.segment_end[gemm.segments++] = static_cast<int>(end);
  gemm.block_rows = static_cast<int>(params.block_rows);
  gemm.block_columns = params.block_columns == 0 ? gemm.k : static_cast<int>(params.block_columns);
  gemm.row_blocks =
      params.block_rows == 0 ? 0 : static_cast<int>(ceil_div(gemm.n, params.block_rows));
  gemm.parts = static_cast<int>(params.depth_blocks(gemm.k));
  if (args.input_scale.defined() && args.input_scale.shape.rank() == 2) {
    gemm.input_stride = args.input_scale.row_stride;
    gemm.input_parts = static_cast<int>(args.input_scale.columns());
  }
  gemm.x_type = args.x.dtype;
  gemm.weight_type = args.weight.dtype;
  return gemm;
}

ExpertGemm expert_gemm(const GroupedLinearArgs& args) {
  ExpertGemm experts = {.gemm = {.x = args.x.as<const uint8_t>(),
                                 .weight = args.weight.as<const uint8_t>(),
                                 .input_scale = args.input_scale.as<const float>(),
                                 .weight_scale = args.weight_scale.as<const float>(),
                                 .x_stride = args.x.row_stride,
                                 .weight_stride = args.x.columns(),
                                 .m = static_cast<int>(args.x.rows()),
                                 .n = static_cast<int>(args.weight.shape[1]),
                                 .k = static_cast<int>(args.x.columns())},
                        .offsets = args.offsets.as<const int32_t>(),
                        .experts = static_cast<int>(args.experts())};
  LargeGemm& gemm = experts.gemm;
  for (const int64_t end : segment_ends(*args.params, gemm.n))
    gemm.segment_end[gemm.segments++] = static_cast<int>(end);
  return experts;
}

Verdict check_grouped_stream(const Problem& problem) {
  const DType x = problem.inputs[0].dtype;
  if (x != problem.inputs[1].dtype || (x != DType::kE4M3 && x != DType::kBF16))
    return Verdict::no(types_of(problem));
  if (std::get<LinearParams>(problem.params).block_columns > 0)
    return Verdict::no("scales by parts of K");
  const int64_t k = problem.inputs[0].shape[1];
  if (k * size_of(x) % 16 != 0)
    return Verdict::no(fmt::format("rows of {} bytes, not a multiple of 16", k * size_of(x)));
  const int64_t blocks = ceil_div(problem.inputs[1].shape[1], kStreamRows);
  if (problem.inputs[0].shape[0] > INT32_MAX / blocks)
    return Verdict::no(fmt::format("{} rows", problem.inputs[0].shape[0]));
  return check_grouped_sizes(problem);
}

// Its weights are read once for so many rows; further ones read them again from the cache.
Verdict check_few_rows(const Problem& problem) {
  const int64_t rows = problem.inputs[0].shape[0];
  if (rows > kGroupedFewRows)
    return Verdict::no(fmt::format("{} rows, at most {}", rows, kGroupedFewRows));
  return check_grouped_stream(problem);
}

Verdict check_expert_gemm(const Problem& problem, int64_t more_scales) {
  const auto& [x, weight, scale] =
      std::tie(problem.inputs[0], problem.inputs[1], problem.inputs[2]);
  const auto& params = std::get<LinearParams>(problem.params);
  if (x.dtype != DType::kE4M3 || weight.dtype != DType::kE4M3)
    return Verdict::no(types_of(problem));
  if (params.block_rows > 0) return Verdict::no("weight scales by block");
  if (scale.shape.rank() != 1) return Verdict::no("input scales made at run time");
  if (x.shape[1] % 16 != 0)
    return Verdict::no(fmt::format("{} columns, not a multiple of 16", x.shape[1]));
  const std::vector<int64_t> ends = segment_ends(params, weight.shape[1]);
  if (std::ranges::any_of(ends, [](int64_t end) { return end % 8 != 0; }))
    return Verdict::no("a segment that is not a multiple of 8 rows");
  if (weight.shape[0] * (std::ssize(ends) + more_scales) > kMostExpertGemmScales)
    return Verdict::no(fmt::format("{} experts of {} segments", weight.shape[0], ends.size()));
  return check_grouped_sizes(problem);
}

bool experts_aligned(const GroupedLinearArgs& args) {
  return rows_aligned(args.x, 16 / size_of(args.x.dtype)) &&
         reinterpret_cast<uintptr_t>(args.weight.data) % 16 == 0;
}

}  // namespace octavo::cuda
