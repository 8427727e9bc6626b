// KV append on the CPU.
// SPDX-License-Identifier: Apache-2.0
#include "ops/kv_append.h"

#include <vector>

#include "backend/cpu/cache_writer.h"
#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = KvAppendArgs::bind(operands);
  const CacheWriter keys(args.k_cache, args.k.dtype, args.k_scale);
  const CacheWriter values(args.v_cache, args.v.dtype, args.v_scale);
  const auto append_rows = [&](int64_t begin, int64_t end) {
    std::vector<float> buffer(static_cast<size_t>(args.k.columns()));
    for (int64_t t = begin; t < end; ++t) {
      const int64_t slot = args.slots.as<int64_t>()[t];
      if (slot < 0) continue;
      keys.write(read_row(args.k, t, buffer.data()), slot);
      values.write(read_row(args.v, t, buffer.data()), slot);
    }
  };
  context.pool->parallel_for(args.k.rows(), rows_grain(args.k.columns()), append_rows);
}

}  // namespace

const Kernel kCpuKvAppend = {.name = "cpu_kv_append",
                             .op = Op::kKvAppend,
                             .traits = {},
                             .supports = supports_activations,
                             .workspace = nullptr,
                             .run = run};

}  // namespace octavo
