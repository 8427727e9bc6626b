// The kernels cuda_embedding and cuda_gather_rows.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/rows/gather_rows.h"

#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"
#include "ops/embedding.h"
#include "ops/gather_rows.h"

namespace octavo::cuda {
namespace {

RowCopy copy_of(const TensorView& index, const TensorView& from, const TensorView& to) {
  return {.index = index.as<const int32_t>(),
          .from = from.data,
          .to = to.data,
          .from_stride = from.row_stride * size_of(from.dtype),
          .to_stride = to.row_stride * size_of(to.dtype),
          .row_bytes = from.columns() * size_of(from.dtype),
          .rows = to.rows()};
}

// Four bytes of −0, which changes nothing when ranks sum their parts.
uint32_t minus_zeros(DType dtype) { return dtype == DType::kBF16 ? 0x80008000u : 0x80000000u; }

Verdict supports_embedding(const Problem& problem) {
  if (problem.inputs[1].dtype != problem.outputs[0].dtype)
    return Verdict::no("a table of another type than y");
  if (std::holds_alternative<EmbeddingParams>(problem.params) &&
      !is_activation(problem.outputs[0].dtype))
    return Verdict::no("a part of a table of another type than activations");
  return Verdict::yes();
}

Verdict supports_gather(const Problem& problem) {
  if (problem.inputs[0].dtype != problem.outputs[0].dtype)
    return Verdict::no("x of another type than y");
  return Verdict::yes();
}

void run_embedding(const Operands& operands, const LaunchContext& context) {
  const auto args = EmbeddingArgs::bind(operands);
  RowCopy copy = copy_of(args.ids, args.table, args.y);
  if (args.part != nullptr) {
    copy.first = args.part->first_id;
    copy.table_rows = args.table.rows();
    copy.other = minus_zeros(args.y.dtype);
  }
  launch_row_copy(copy, on(context));
}

void run_gather(const Operands& operands, const LaunchContext& context) {
  const auto args = GatherRowsArgs::bind(operands);
  launch_row_copy(copy_of(args.rows, args.x, args.y), on(context));
}

constexpr KernelTraits kTraits = {.device = DeviceType::kCuda, .programmatic = true};

}  // namespace

const Kernel kEmbedding = {"cuda_embedding",   Op::kEmbedding, kTraits,
                           supports_embedding, nullptr,        run_embedding};
const Kernel kGatherRows = {"cuda_gather_rows", Op::kGatherRows, kTraits,
                            supports_gather,    nullptr,         run_gather};

}  // namespace octavo::cuda
