// Embedding and gather_rows copy rows exactly.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/rows/gather_rows.h"

#include "backend/cuda/device_call.h"

namespace octavo::testing {
namespace {

TEST(GatherRows, CopiesRowsOfEveryWidth) {
  OCTAVO_REQUIRE_DEVICE();
  Values values(6);
  for (const DType dtype : {DType::kBF16, DType::kF32, DType::kE4M3}) {
    for (const int64_t width : {1, 31, 32, 33, 4096}) {
      for (const int64_t rows : {0, 1, 33}) {
        const Tensor table = values.normal(dtype, {100, width});
        std::vector<int32_t> ids(rows);
        for (int32_t& id : ids) id = values.below(100);
        const Tensor index = vector_of(DType::kI32, ids);
        Tensor expected(dtype, {rows, width});
        const int64_t bytes = width * size_of(dtype);
        for (int64_t i = 0; i < rows; ++i)
          std::memcpy(expected.data() + i * bytes, table.data() + ids[i] * bytes, bytes);
        Tensor y(dtype, {rows, width});
        DeviceCall gather;
        gather.pitch(width == 33 ? 1 : 0).in(table).in(index).out(y).run("cuda_gather_rows");
        expect_same_bytes(y, expected, "gather_rows");
        DeviceCall embedding;
        embedding.in(index).in(table).out(y).run("cuda_embedding");
        expect_same_bytes(y, expected, "embedding");
      }
    }
  }
}

}  // namespace
}  // namespace octavo::testing
