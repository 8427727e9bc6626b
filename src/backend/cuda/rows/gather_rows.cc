// The kernels cuda_embedding and cuda_gather_rows.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/rows/gather_rows.h"

#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"
#include "ops/embedding.h"
#include "ops/gather_rows.h"

namespace octavo::cuda {
namespace {

void copy_rows(const TensorView& index, const TensorView& from, const TensorView& to,
               const LaunchContext& context) {
  launch_row_copy({.index = index.as<const int32_t>(),
                   .from = from.data,
                   .to = to.data,
                   .from_stride = from.row_stride * size_of(from.dtype),
                   .to_stride = to.row_stride * size_of(to.dtype),
                   .row_bytes = from.columns() * size_of(from.dtype),
                   .rows = to.rows()},
                  on(context));
}

Verdict supports_embedding(const Problem& problem) {
  if (problem.inputs[1].dtype != problem.outputs[0].dtype)
    return Verdict::no("a table of another type than y");
  if (std::holds_alternative<EmbeddingParams>(problem.params))
    return Verdict::no("a part of a table");
  return Verdict::yes();
}

Verdict supports_gather(const Problem& problem) {
  if (problem.inputs[0].dtype != problem.outputs[0].dtype)
    return Verdict::no("x of another type than y");
  return Verdict::yes();
}

void run_embedding(const Operands& operands, const LaunchContext& context) {
  const auto args = EmbeddingArgs::bind(operands);
  copy_rows(args.ids, args.table, args.y, context);
}

void run_gather(const Operands& operands, const LaunchContext& context) {
  const auto args = GatherRowsArgs::bind(operands);
  copy_rows(args.rows, args.x, args.y, context);
}

constexpr KernelTraits kTraits = {.device = DeviceType::kCuda, .programmatic = true};

}  // namespace

const Kernel kEmbedding = {"cuda_embedding",   Op::kEmbedding, kTraits,
                           supports_embedding, nullptr,        run_embedding};
const Kernel kGatherRows = {"cuda_gather_rows", Op::kGatherRows, kTraits,
                            supports_gather,    nullptr,         run_gather};

}  // namespace octavo::cuda
