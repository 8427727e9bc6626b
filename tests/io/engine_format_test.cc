// The engine layout: where its parts lie, and that header text reads back.
// SPDX-License-Identifier: Apache-2.0
#include "io/engine_format.h"

#include <gtest/gtest.h>

#include "io/test_support.h"

namespace octavo {
namespace {

TEST(EngineFormat, LaysOutAlignedParts) {
  const EngineLayout empty = engine_layout(/*header_bytes=*/100, /*payload_bytes=*/0);
  EXPECT_EQ(empty.payload_start, 256u);
  EXPECT_EQ(empty.file_bytes(), 256u + 8);
  const EngineLayout two = engine_layout(/*header_bytes=*/225, kEngineChunkBytes + 1);
  EXPECT_EQ(two.payload_start, 512u);
  EXPECT_EQ(two.chunks, 2u);
  EXPECT_EQ(two.chunk_bytes(0), kEngineChunkBytes);
  EXPECT_EQ(two.chunk_bytes(1), 1u);
  EXPECT_EQ(two.file_bytes(), 512 + kEngineChunkBytes + 1 + 24);
}

TEST(EngineFormat, HeaderTextReadsBack) {
  EngineHeader header{.meta = {{"program", {1, 2}}},
                      .tensors = {{"a\n", DType::kE4M3, {3, 5}}, {"b", DType::kI32, {}}}};
  header.payload_bytes = place_engine_tensors(header.tensors);
  const EngineHeader read =
      parse_engine_header(engine_header_text(header), header.payload_bytes, "f");
  EXPECT_EQ(read.meta, header.meta);
  EXPECT_EQ(read.payload_bytes, 260u);
  ASSERT_EQ(read.tensors.size(), 2u);
  EXPECT_EQ(read.tensors[0].name, "a\n");
  EXPECT_EQ(read.tensors[0].shape, (Shape{3, 5}));
  EXPECT_EQ(read.tensors[1].offset, 256u);
  EXPECT_EQ(read.tensors[1].dtype, DType::kI32);
}

TEST(EngineFormat, PrefixReadsBack) {
  const std::string text(50, ' ');
  EXPECT_EQ(parse_engine_prefix(engine_prefix(text), 1000, "f"), 50u);
  const Error error = error_of([&] { parse_engine_prefix(engine_prefix(text), 81, "f"); });
  EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
}

TEST(EngineFormat, ImpossibleShapesAreInternalErrors) {
  std::vector<EngineTensor> tensors = {{"a", DType::kF32, {int64_t{1} << 40, int64_t{1} << 40}}};
  EXPECT_EQ(error_of([&] { place_engine_tensors(tensors); }).category(), ErrorCategory::kInternal);
}

}  // namespace
}  // namespace octavo
