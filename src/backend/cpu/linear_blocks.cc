// Blocks of columns, each walked along K.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/linear_blocks.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/linear_scalar.h"
#include "core/checked.h"
#include "numerics/bf16.h"
#include "numerics/integer_codes.h"

namespace octavo {
namespace {

constexpr int64_t kColumns = 128;  // rows of the weight that a task takes; even, for pairs of rows
constexpr int64_t kRows = 192;     // of x; their sums stay in the L2 cache

int64_t out_features(const TensorView& weight) { return weight.rows() * rows_in_row(weight.dtype); }

void decode_row(const TensorView& weight, int64_t row, bf16* to) {
  const int64_t depth = weight.columns();
  if (weight.dtype == DType::kI8) {
    const auto* codes = weight.row<int8_t>(row);
    for (int64_t k = 0; k < depth; ++k) to[k] = to_bf16(codes[k]);
  } else {
    const auto* pairs = weight.row<uint8_t>(row / 2);
    const int odd = static_cast<int>(row % 2);
    for (int64_t k = 0; k < depth; ++k) to[k] = to_bf16(unpack_int4(pairs[k], odd));
  }
}

// What one thread needs.
struct Scratch {
  std::vector<bf16> weight;          // [columns, depth] where it must be decoded
  std::vector<float> sums;           // [rows, columns]
  std::vector<std::byte> workspace;  // of gemm
};

class BlockedLinear {
 public:
  BlockedLinear(const GemmCore& core, const LinearArgs& args)
      : core_(core),
        args_(args),
        epilogue_(args),
        depth_(args.x.columns()),
        block_(args.params->block_columns == 0 ? depth_ : args.params->block_columns) {}

  void run(int64_t first_column, int64_t columns, Scratch& scratch) const {
    const GemmRows weight = rows_of_weight(first_column, columns, scratch);
    for (int64_t row = 0; row < args_.x.rows(); row += kRows) {
      run_rows(row, std::min(kRows, args_.x.rows() - row), first_column, weight, scratch);
    }
  }

 private:
  GemmRows rows_of_weight(int64_t first, int64_t count, Scratch& scratch) const {
    if (core_.source(args_.weight.dtype) != nullptr)
      return GemmRows::of(args_.weight).slice_rows(first, count);
    scratch.weight.resize(static_cast<size_t>(count * depth_));
    for (int64_t i = 0; i < count; ++i)
      decode_row(args_.weight, first + i, scratch.weight.data() + i * depth_);
    return {.data = reinterpret_cast<const std::byte*>(scratch.weight.data()),
            .dtype = DType::kBF16,
            .row_stride = depth_,
            .rows = count,
            .depth = depth_};
  }

  void run_rows(int64_t first_row, int64_t rows, int64_t first_column, const GemmRows& weight,
                Scratch& scratch) const {
    const GemmRows x = GemmRows::of(args_.x).slice_rows(first_row, rows);
    const int64_t columns = weight.rows;
    scratch.sums.assign(static_cast<size_t>(rows * columns), 0.0f);
    for (int64_t begin = 0; begin < depth_; begin += block_) {
      const int64_t depth = std::min(block_, depth_ - begin);
      const auto add = [&](int64_t row, int64_t column, std::span<float> sums) {
        epilogue_.scale(first_row + row, first_column + column, begin / block_, sums);
        float* to = scratch.sums.data() + row * columns + column;
        for (const float sum : sums) *to++ += sum;
      };
      scratch.workspace.resize(static_cast<size_t>(gemm_workspace(core_, rows, depth)));
      gemm(core_, x.slice_depth(begin, depth), weight.slice_depth(begin, depth), add,
           scratch.workspace, /*pool=*/nullptr);
    }
    for (int64_t row = 0; row < rows; ++row) {
      const std::span sums(scratch.sums.data() + row * columns, static_cast<size_t>(columns));
      epilogue_.finish(first_row + row, first_column, sums);
    }
  }

  const GemmCore& core_;
  const LinearArgs& args_;
  LinearEpilogue epilogue_;
  int64_t depth_;
  int64_t block_;
};

}  // namespace

bool needs_blocks(const GemmCore& core, DType weight, const LinearParams& params) {
  return params.block_columns > 0 || core.source(weight) == nullptr;
}

void cpu_linear_blocks(const GemmCore& core, const LinearArgs& args, ThreadPool* pool) {
  const BlockedLinear linear(core, args);
  const int64_t out = out_features(args.weight);
  const auto tasks = [&](int64_t begin, int64_t end) {
    Scratch scratch;
    for (int64_t task = begin; task < end; ++task) {
      linear.run(task * kColumns, std::min(kColumns, out - task * kColumns), scratch);
    }
  };
  if (pool == nullptr) return tasks(0, ceil_div(out, kColumns));
  pool->parallel_for(ceil_div(out, kColumns), /*grain=*/1, tasks);
}

}  // namespace octavo
