// RoPE of q and k and KV append on the CPU.
// SPDX-License-Identifier: Apache-2.0
#include "ops/rope_kv_append.h"

#include <vector>

#include "backend/cpu/cache_writer.h"
#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rotation.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = RopeKvAppendArgs::bind(operands);
  const RowWriter queries(args.y.dtype, args.q.dtype, {});
  const CacheWriter keys(args.k_cache, args.k.dtype, args.k_scale);
  const CacheWriter values(args.v_cache, args.v.dtype, args.v_scale);
  const auto rotate_and_append_rows = [&](int64_t begin, int64_t end) {
    Rotation rotation(args.inverse_frequency);
    std::vector<float> q(static_cast<size_t>(args.q.columns()));
    std::vector<float> k(static_cast<size_t>(args.k.columns()));
    for (int64_t t = begin; t < end; ++t) {
      rotation.set_position(args.positions.as<int32_t>()[t]);
      rotation.rotate(read_row(args.q, t, q.data()), q.data(), args.q.columns());
      queries.write_row(q.data(), args.y, t);
      const int64_t slot = args.slots.as<int64_t>()[t];
      if (slot < 0) continue;
      rotation.rotate(read_row(args.k, t, k.data()), k.data(), args.k.columns());
      round_values(args.k.dtype, k.data(), args.k.columns());
      keys.write(k.data(), slot);
      values.write(read_row(args.v, t, k.data()), slot);
    }
  };
  context.pool->parallel_for(args.q.rows(), rows_grain(args.q.columns() + args.k.columns()),
                             rotate_and_append_rows);
}

}  // namespace

const Kernel kCpuRopeKvAppend = {.name = "cpu_rope_kv_append",
                                 .op = Op::kRopeKvAppend,
                                 .traits = {},
                                 .supports = supports_activations,
                                 .workspace = nullptr,
                                 .run = run};

}  // namespace octavo
