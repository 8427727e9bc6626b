// Gather rows on the CPU.
// SPDX-License-Identifier: Apache-2.0
#include "ops/gather_rows.h"

#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

Verdict supports(const Problem& problem) {
  return problem.inputs[0].dtype == problem.outputs[0].dtype
             ? Verdict::yes()
             : Verdict::no("x of another type than y");
}

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = GatherRowsArgs::bind(operands);
  const auto copy_rows = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row =
          checked_index(args.rows.as<int32_t>()[i], args.x.rows(), "[gather_rows] rows", i);
      copy_row(args.x, row, args.y, i);
    }
  };
  context.pool->parallel_for(args.y.rows(), rows_grain(args.y.columns()), copy_rows);
}

}  // namespace

const Kernel kCpuGatherRows = {.name = "cpu_gather_rows",
                               .op = Op::kGatherRows,
                               .traits = {},
                               .supports = supports,
                               .workspace = nullptr,
                               .run = run};

}  // namespace octavo
