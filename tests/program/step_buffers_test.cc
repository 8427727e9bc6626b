// Inputs at fixed addresses: contents, strides, reuse of the staging memory.
// SPDX-License-Identifier: Apache-2.0
#include "program/step_buffers.h"

#include <gtest/gtest.h>

#include "core/host_device.h"
#include "model/tiny_model.h"

namespace octavo {
namespace {

class StepBuffersTest : public testing::Test {
 protected:
  StepBuffersTest()
      : program_(kLlama.emit(tiny_config(), {.dtype = DType::kF32, .tokens_per_block = 4})),
        interpreter_(program_, first_candidates(program_, cpu_registry(), maxima_), maxima_,
                     device_),
        buffers_(maxima_, device_, 2) {
    buffers_.bind_to(interpreter_);
  }

  template <typename T>
  std::vector<T> values(std::string_view name, const SymbolValues& sizes) const {
    const TensorView view = interpreter_.view(program_.find(name), sizes);
    std::vector<T> all;
    for (int64_t row = 0; row < view.rows(); ++row)
      all.insert(all.end(), view.row<T>(row), view.row<T>(row) + view.columns());
    return all;
  }

  const SymbolValues maxima_ = {
      .tokens = 16, .sequences = 4, .logit_rows = 4, .cache_blocks = 8, .table_width = 5};
  ThreadPool pool_{1};
  HostDevice device_{pool_};
  Program program_;
  Interpreter interpreter_;
  StepBuffers buffers_;
};

TEST_F(StepBuffersTest, HoldEachStepAtTheSameAddresses) {
  const std::byte* ids = nullptr;
  for (int32_t step = 0; step < 5; ++step) {
    Batch batch;
    batch.table_width = 2;
    batch.append({7 + step, 8, 9, 10, 11}, 0, {3, 1}, 4);
    batch.append({5}, 2, {6}, 4);
    batch.token_slots.back() = 2;
    batch.logit_rows = {4, 5};
    buffers_.upload(batch);
    SymbolValues sizes = batch.sizes(8);
    sizes.table_width = maxima_.table_width;
    EXPECT_EQ(values<int32_t>(kTokenIds, sizes), batch.token_ids);
    EXPECT_EQ(values<int32_t>(kPositions, sizes), batch.positions);
    EXPECT_EQ(values<int64_t>(kSlots, sizes), batch.slots);
    EXPECT_EQ(values<int32_t>(kKvLength, sizes), batch.kv_length);
    EXPECT_EQ(values<int32_t>(kLogitRows, sizes), batch.logit_rows);
    EXPECT_EQ(buffers_.token_slots().as<int32_t>()[5], 2);
    const std::vector<int32_t> table = values<int32_t>(kBlockTable, sizes);
    EXPECT_EQ((std::vector<int32_t>{table[0], table[1], table[5], table[6]}),
              (std::vector<int32_t>{3, 1, 6, 0}));
    const std::byte* now = interpreter_.view(program_.find(kTokenIds), sizes).data;
    EXPECT_TRUE(ids == nullptr || ids == now);
    ids = now;
    EXPECT_EQ(now, buffers_.token_ids().data);
  }
}

TEST_F(StepBuffersTest, PaddedSequencesReadAndWriteNothing) {
  Batch batch;
  batch.table_width = 1;
  batch.append({3}, 2, {4}, 4);
  batch.logit_rows = {0};
  batch.pad(3);
  EXPECT_EQ(batch.sizes(8).tokens, 3);
  EXPECT_EQ(batch.sizes(8).sequences, 3);
  EXPECT_EQ(batch.slots, (std::vector<int64_t>{18, -1, -1}));
  EXPECT_EQ(batch.query_start, (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(batch.query_length, (std::vector<int32_t>{1, 0, 0}));
  EXPECT_EQ(batch.kv_length, (std::vector<int32_t>{3, 0, 0}));
  EXPECT_EQ(batch.logit_rows, (std::vector<int32_t>{0, 0, 0}));
  buffers_.upload(batch);
}

}  // namespace
}  // namespace octavo
