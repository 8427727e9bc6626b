// Grouped quantize on the CPU.
// SPDX-License-Identifier: Apache-2.0
#include "ops/grouped_quantize.h"

#include <vector>

#include "backend/cpu/expert_rows.h"
#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"
#include "ops/grouped_linear.h"

namespace octavo {
namespace {

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupedQuantizeArgs::bind(operands);
  for_each_expert(args.offsets, args.y, [&](const ExpertRows& rows) {
    const RowWriter writer(args.y.dtype, args.x.dtype, slice_vector(args.scale, rows.expert, 1));
    const auto quantize_rows = [&](int64_t begin, int64_t end) {
      std::vector<float> values(static_cast<size_t>(args.x.columns()));
      for (int64_t row = rows.begin + begin; row < rows.begin + end; ++row)
        writer.write_row(read_row(args.x, row, values.data()), args.y, row);
    };
    context.pool->parallel_for(rows.end - rows.begin, rows_grain(args.x.columns()), quantize_rows);
  });
}

}  // namespace

const Kernel kCpuGroupedQuantize = {.name = "cpu_grouped_quantize",
                                    .op = Op::kGroupedQuantize,
                                    .traits = {},
                                    .supports = supports_moe,
                                    .workspace = nullptr,
                                    .run = run};

}  // namespace octavo
