// Matrix multiplication x · weightᵀ: what an instruction set provides, and the blocking around it.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: one order of summation for an output, whatever the number of rows and threads. An output
// has `lanes` partial sums in fp32. K is walked in steps of `step` elements; step i adds its
// products to the lanes, always lane = position within the step, and the lanes are added in a fixed
// tree at the end. Blocking over rows, columns and K only stores and reloads partial sums, which is
// exact. Zeros fill the last step. A core whose instruction keeps another order, which is as
// independent of rows and threads, brings its own blocking.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "backend/cpu/cpu_features.h"
#include "core/tensor.h"
#include "core/thread_pool.h"

namespace octavo {

// Rows of a matrix as its owner stores them.
struct GemmRows {
  const std::byte* data = nullptr;
  DType dtype = DType::kF32;
  int64_t row_stride = 0;  // elements
  int64_t rows = 0;
  int64_t depth = 0;  // elements of a row that take part: K, or a chunk of it

  static GemmRows of(const TensorView& view);
  GemmRows slice_rows(int64_t begin, int64_t count) const;
  GemmRows slice_depth(int64_t begin, int64_t count) const;
};

// How one element type is read. Packed panels hold `[steps, rows, step]` elements of the core's own
// type (float32 or bfloat16), which every source type converts to exactly.
struct GemmSource {
  DType dtype;
  // Packs source.depth elements of each row; rows up to `panel_rows` beyond source.rows are zero.
  void (*pack)(const GemmRows& source, int64_t panel_rows, void* panel);
  // Partial sums [x_rows, tile_columns, lanes] of a packed x panel and at most tile_columns rows of
  // the weight, read where they lie. Columns that the weight lacks repeat its last row.
  void (*dot)(const void* x_panel, int64_t x_rows, const GemmRows& weight, float* partial);
};

// One tile of packed operands.
struct GemmTile {
  const void* x = nullptr;       // [steps, x_rows, step]
  const void* weight = nullptr;  // [steps, tile_columns, step]
  int64_t x_rows = 0;            // at most tile_rows
  int64_t steps = 0;
  bool first = true;         // start from zero, or from what `partial` holds
  float* partial = nullptr;  // [x_rows, tile_columns, lanes]
};

// Takes `sums` of row `row` and columns [column, column + sums.size()); may overwrite them.
using GemmOutput = std::function<void(int64_t row, int64_t column, std::span<float> sums)>;

// One multiplication.
struct GemmCall {
  const GemmRows& x;
  const GemmRows& weight;
  const GemmOutput& output;
  std::byte* packed_x;  // gemm_workspace bytes, aligned to a cache line
  ThreadPool* pool;     // may be null

  void parallel_for(int64_t count, int64_t grain,
                    const std::function<void(int64_t, int64_t)>& body) const;
};

// What an instruction set provides.
struct GemmCore {
  CpuLevel level;
  int64_t step;           // elements of K in one step
  int64_t element_bytes;  // of packed elements
  int64_t lanes;
  int64_t tile_rows;
  int64_t tile_columns;
  std::span<const GemmSource> sources;
  void (*tile)(const GemmTile& tile);
  // sums[i] = the lanes of partial[i] added in the fixed tree.
  void (*reduce)(const float* partial, int64_t count, float* sums);
  // The whole multiplication of a core that brings its own blocking; it has no dot, tile and
  // reduce.
  void (*blocked)(const GemmCall& call) = nullptr;

  const GemmSource* source(DType dtype) const;  // null where the type is not read
};

#if OCTAVO_X86_64
extern const GemmCore kGemmAmx;
extern const GemmCore kGemmAvx512Bf16;
extern const GemmCore kGemmAvx512;
extern const GemmCore kGemmAvx2;
#endif

// Bytes that `gemm` needs for its copy of x.
int64_t gemm_workspace(const GemmCore& core, int64_t rows, int64_t depth);

// output(r, n) = sum over k of x[r, k] · weight[n, k]. `pool` may be null.
void gemm(const GemmCore& core, const GemmRows& x, const GemmRows& weight, const GemmOutput& output,
          std::span<std::byte> workspace, ThreadPool* pool);

}  // namespace octavo
