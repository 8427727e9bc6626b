// Blocking of matrix multiplication: few rows read the weight where it lies, many rows pack it.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/gemm.h"

#include <algorithm>
#include <array>

#include "core/checked.h"

namespace octavo {
namespace {

// Sizes that hold for every core. A chunk of a weight panel stays in the L1 cache, the packed x of
// a block in L2; every block decodes its weight anew, which 96 rows of x make cheap.
constexpr int64_t kMaxTileColumns = 8;
constexpr int64_t kMaxLanes = 16;
constexpr int64_t kChunkBytes = 2048;  // of one packed row
constexpr int64_t kBlockRows = 96;     // of x; a multiple of every core's tile_rows
constexpr int64_t kBlockColumns = 64;  // rows of the weight
constexpr int64_t kDirectPieceBytes = 64 << 10;
constexpr int64_t kAlignment = 64;

struct Gemm : GemmCall {
  const GemmCore& core;

  int64_t steps() const { return ceil_div(x.depth, core.step); }
  int64_t row_bytes() const { return steps() * core.step * core.element_bytes; }
  int64_t row_panels() const { return ceil_div(x.rows, core.tile_rows); }
  int64_t panel_rows(int64_t panel) const {
    return std::min(core.tile_rows, x.rows - panel * core.tile_rows);
  }
  std::byte* panel(int64_t index) const { return packed_x + index * core.tile_rows * row_bytes(); }

  void pack_x() const;
  void run_direct() const;
  void run_direct(int64_t first_column, int64_t end_column) const;
  void run_blocks() const;
};

void Gemm::pack_x() const {
  const GemmSource& source = *core.source(x.dtype);
  // A piece of a few hundred kilobytes; decode never wakes other threads for it.
  const int64_t grain = std::max<int64_t>(1, (256 << 10) / (core.tile_rows * row_bytes() + 1));
  parallel_for(row_panels(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) {
      const int64_t rows = panel_rows(index);
      source.pack(x.slice_rows(index * core.tile_rows, rows), rows, panel(index));
    }
  });
}

void Gemm::run_direct(int64_t first_column, int64_t end_column) const {
  alignas(kAlignment) std::array<float, kMaxTileColumns * kMaxTileColumns * kMaxLanes> partial;
  std::array<float, kMaxTileColumns> sums;
  const GemmSource& source = *core.source(weight.dtype);
  for (int64_t column = first_column; column < end_column; column += core.tile_columns) {
    const int64_t columns = std::min(core.tile_columns, end_column - column);
    source.dot(packed_x, x.rows, weight.slice_rows(column, columns), partial.data());
    for (int64_t row = 0; row < x.rows; ++row) {
      core.reduce(partial.data() + row * core.tile_columns * core.lanes, columns, sums.data());
      output(row, column, std::span(sums).first(columns));
    }
  }
}

void Gemm::run_direct() const {
  const int64_t tile_bytes = core.tile_columns * weight.depth * size_of(weight.dtype);
  const int64_t tiles = std::max<int64_t>(1, kDirectPieceBytes / (tile_bytes + 1));
  parallel_for(weight.rows, tiles * core.tile_columns,
               [this](int64_t begin, int64_t end) { run_direct(begin, end); });
}

// One block of the output: kBlockRows × kBlockColumns at most.
class Block {
 public:
  Block(const Gemm& gemm, int64_t first_row, int64_t first_column)
      : gemm_(gemm),
        core_(gemm.core),
        first_row_(first_row),
        rows_(std::min(kBlockRows, gemm.x.rows - first_row)),
        first_column_(first_column),
        columns_(std::min(kBlockColumns, gemm.weight.rows - first_column)),
        chunk_(kChunkBytes / (core_.element_bytes * core_.step)) {}

  void run() {
    for (int64_t column = 0; column < columns_; column += core_.tile_columns) {
      const int64_t columns = std::min(core_.tile_columns, columns_ - column);
      const GemmRows rows = gemm_.weight.slice_rows(first_column_ + column, columns);
      for (int64_t step = 0; step < gemm_.steps(); step += chunk_) run_chunk(rows, step);
      reduce(column, columns);
    }
    for (int64_t row = 0; row < rows_; ++row) {
      gemm_.output(first_row_ + row, first_column_,
                   std::span(sums_).subspan(row * kBlockColumns, columns_));
    }
  }

 private:
  // Tiles of all rows of the block with one chunk of a weight panel, which stays in the L1 cache.
  void run_chunk(const GemmRows& weight, int64_t step) {
    const int64_t steps = std::min(chunk_, gemm_.steps() - step);
    const int64_t begin = step * core_.step;
    const int64_t depth = std::min(steps * core_.step, weight.depth - begin);
    core_.source(weight.dtype)
        ->pack(weight.slice_depth(begin, depth), core_.tile_columns, weight_panel_.data());
    for (int64_t row = 0; row < rows_; row += core_.tile_rows) {
      const int64_t panel = (first_row_ + row) / core_.tile_rows;
      const int64_t x_rows = gemm_.panel_rows(panel);
      core_.tile({.x = gemm_.panel(panel) + begin * x_rows * core_.element_bytes,
                  .weight = weight_panel_.data(),
                  .x_rows = x_rows,
                  .steps = steps,
                  .first = step == 0,
                  .partial = partial(row)});
    }
  }

  void reduce(int64_t column, int64_t columns) {
    for (int64_t row = 0; row < rows_; ++row) {
      core_.reduce(partial(row), columns, sums_.data() + row * kBlockColumns + column);
    }
  }

  float* partial(int64_t row) { return partial_.data() + row * core_.tile_columns * core_.lanes; }

  const Gemm& gemm_;
  const GemmCore& core_;
  int64_t first_row_;
  int64_t rows_;
  int64_t first_column_;
  int64_t columns_;
  int64_t chunk_;  // steps
  alignas(kAlignment) std::array<std::byte, kMaxTileColumns * kChunkBytes> weight_panel_;
  // [row, column of the tile, lane]
  alignas(kAlignment) std::array<float, kBlockRows * kMaxTileColumns * kMaxLanes> partial_;
  std::array<float, kBlockRows * kBlockColumns> sums_;
};

void Gemm::run_blocks() const {
  const int64_t column_blocks = ceil_div(weight.rows, kBlockColumns);
  const int64_t blocks = ceil_div(x.rows, kBlockRows) * column_blocks;
  // Neighbours share their rows of x, which stay in the L2 cache.
  parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) {
      Block(*this, index / column_blocks * kBlockRows, index % column_blocks * kBlockColumns).run();
    }
  });
}

}  // namespace

GemmRows GemmRows::of(const TensorView& view) {
  return {.data = view.data,
          .dtype = view.dtype,
          .row_stride = view.row_stride,
          .rows = view.rows(),
          .depth = view.columns()};
}

GemmRows GemmRows::slice_rows(int64_t begin, int64_t count) const {
  GemmRows slice = *this;
  slice.data += begin * row_stride * size_of(dtype);
  slice.rows = count;
  return slice;
}

GemmRows GemmRows::slice_depth(int64_t begin, int64_t count) const {
  GemmRows slice = *this;
  slice.data += begin * size_of(dtype);
  slice.depth = count;
  return slice;
}

void GemmCall::parallel_for(int64_t count, int64_t grain,
                            const std::function<void(int64_t, int64_t)>& body) const {
  if (pool != nullptr) {
    pool->parallel_for(count, grain, body);
  } else if (count > 0) {
    body(0, count);
  }
}

const GemmSource* GemmCore::source(DType dtype) const {
  for (const GemmSource& source : sources) {
    if (source.dtype == dtype) return &source;
  }
  return nullptr;
}

int64_t gemm_workspace(const GemmCore& core, int64_t rows, int64_t depth) {
  return rows * round_up(depth, core.step) * core.element_bytes + kAlignment;
}

void gemm(const GemmCore& core, const GemmRows& x, const GemmRows& weight, const GemmOutput& output,
          std::span<std::byte> workspace, ThreadPool* pool) {
  if (x.rows == 0 || weight.rows == 0) return;
  OCTAVO_CHECK(static_cast<int64_t>(workspace.size()) >= gemm_workspace(core, x.rows, x.depth));
  const auto address = reinterpret_cast<uintptr_t>(workspace.data());
  std::byte* packed_x = workspace.data() + (kAlignment - address % kAlignment) % kAlignment;
  const GemmCall call{x, weight, output, packed_x, pool};
  if (core.blocked != nullptr) return core.blocked(call);
  const Gemm run{{call}, core};
  run.pack_x();
  if (x.rows <= core.tile_rows) {
    run.run_direct();
  } else {
    run.run_blocks();
  }
}

}  // namespace octavo
