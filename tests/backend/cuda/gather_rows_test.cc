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

TEST(GatherRows, RowsOfOtherPartsOfATableAreMinusZero) {
  OCTAVO_REQUIRE_DEVICE();
  Values values(7);
  const std::vector<int32_t> ids = {39, 40, 0, 99, 69, 70};
  const Tensor index = vector_of(DType::kI32, ids);
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    for (const int64_t width : {33, 128}) {
      const Tensor table = values.normal(dtype, {30, width});  // rows 40 to 69 of 100
      const int64_t bytes = width * size_of(dtype);
      Tensor expected(dtype, {std::ssize(ids), width});
      for (int64_t i = 0; i < std::ssize(ids); ++i) {
        const int32_t row = ids[i] - 40;
        for (int64_t j = 0; j < width; ++j) set_element(expected.view(), i * width + j, -0.0f);
        if (row >= 0 && row < 30)
          std::memcpy(expected.data() + i * bytes, table.data() + row * bytes, bytes);
      }
      Tensor y(dtype, {std::ssize(ids), width});
      DeviceCall embedding;
      embedding.in(index).in(table).out(y).params(EmbeddingParams{40}).run("cuda_embedding");
      expect_same_bytes(y, expected, "part of a table");
    }
  }
}

}  // namespace
}  // namespace octavo::testing
