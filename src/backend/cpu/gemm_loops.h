// The loops of a GemmCore, written once for every instruction set.
// SPDX-License-Identifier: Apache-2.0
//
// A gemm_<instruction set>.cc defines OCTAVO_GEMM_TARGET (the target attribute of its functions)
// and then, in an unnamed namespace, includes this header's templates through a struct `Isa`:
//   Element, Packed, Accumulator      packed element, one step of it and one accumulator in
//   registers kStep, kLanes, kTileRows, kTileColumns load, store                       one step of
//   packed elements decode(T*), decode(T*, count)     one step of a source type; the rest of a
//   short step is zero zero, load_lanes, store_lanes     an accumulator multiply_add(x, weight,
//   sum) sum(lanes)                        adds the lanes of one accumulator in the fixed tree
// Only that file may include it: the functions have internal linkage.
#ifndef OCTAVO_GEMM_TARGET
#error "gemm_loops.h: define OCTAVO_GEMM_TARGET first"
#endif
#pragma once

#include <algorithm>

#include "backend/cpu/gemm.h"

namespace octavo {
namespace {

template <typename Isa, typename T>
OCTAVO_GEMM_TARGET void pack_rows(const GemmRows& source, int64_t panel_rows, void* panel) {
  using Element = typename Isa::Element;
  const int64_t whole = source.depth / Isa::kStep;
  const int64_t rest = source.depth % Isa::kStep;
  const int64_t step_elements = panel_rows * Isa::kStep;
  for (int64_t row = 0; row < panel_rows; ++row) {
    Element* out = static_cast<Element*>(panel) + row * Isa::kStep;
    const bool present = row < source.rows;
    const T* in = reinterpret_cast<const T*>(source.data) + (present ? row : 0) * source.row_stride;
    for (int64_t step = 0; step < whole; ++step, out += step_elements) {
      Isa::store(out, present ? Isa::decode(in + step * Isa::kStep) : Isa::decode(in, 0));
    }
    if (rest > 0) Isa::store(out, Isa::decode(in + whole * Isa::kStep, present ? rest : 0));
  }
}

// The order of summation, in packed tiles and in rows read where they lie, is this function's: one
// accumulator an output, step after step.
template <typename Isa, int kRows>
OCTAVO_GEMM_TARGET inline __attribute__((always_inline)) void add_step(
    typename Isa::Accumulator (&sums)[kRows][Isa::kTileColumns], const typename Isa::Element* x,
    int column, typename Isa::Packed weight) {
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
    sums[row][column] =
        Isa::multiply_add(Isa::load(x + row * Isa::kStep), weight, sums[row][column]);
  }
}

template <typename Isa, int kRows>
OCTAVO_GEMM_TARGET inline __attribute__((always_inline)) void store_sums(
    const typename Isa::Accumulator (&sums)[kRows][Isa::kTileColumns], float* partial) {
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 8
    for (int column = 0; column < Isa::kTileColumns; ++column) {
      Isa::store_lanes(partial + (row * Isa::kTileColumns + column) * Isa::kLanes,
                       sums[row][column]);
    }
  }
}

template <typename Isa, int kRows>
OCTAVO_GEMM_TARGET void tile_rows(const GemmTile& tile) {
  typename Isa::Accumulator sums[kRows][Isa::kTileColumns];
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 8
    for (int column = 0; column < Isa::kTileColumns; ++column) {
      const float* lanes = tile.partial + (row * Isa::kTileColumns + column) * Isa::kLanes;
      sums[row][column] = tile.first ? Isa::zero() : Isa::load_lanes(lanes);
    }
  }
  const auto* x = static_cast<const typename Isa::Element*>(tile.x);
  const auto* weight = static_cast<const typename Isa::Element*>(tile.weight);
  for (int64_t step = 0; step < tile.steps; ++step) {
#pragma GCC unroll 8
    for (int column = 0; column < Isa::kTileColumns; ++column) {
      add_step<Isa, kRows>(sums, x, column, Isa::load(weight + column * Isa::kStep));
    }
    x += kRows * Isa::kStep;
    weight += Isa::kTileColumns * Isa::kStep;
  }
  store_sums<Isa, kRows>(sums, tile.partial);
}

template <typename Isa, typename T, int kRows>
OCTAVO_GEMM_TARGET void dot_rows(const void* x_panel, const GemmRows& weight, float* partial) {
  const T* rows[Isa::kTileColumns];
  for (int64_t column = 0; column < Isa::kTileColumns; ++column) {
    rows[column] = reinterpret_cast<const T*>(weight.data) +
                   std::min(column, weight.rows - 1) * weight.row_stride;
  }
  typename Isa::Accumulator sums[kRows][Isa::kTileColumns];
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 8
    for (int column = 0; column < Isa::kTileColumns; ++column) sums[row][column] = Isa::zero();
  }
  const auto* x = static_cast<const typename Isa::Element*>(x_panel);
  const int64_t whole = weight.depth / Isa::kStep * Isa::kStep;
  // The next tile's rows follow this one's in memory.
  const int64_t ahead = Isa::kTileColumns * weight.row_stride;
  for (int64_t k = 0; k < whole; k += Isa::kStep, x += kRows * Isa::kStep) {
#pragma GCC unroll 8
    for (int column = 0; column < Isa::kTileColumns; ++column) {
      __builtin_prefetch(rows[column] + k + ahead);
      add_step<Isa, kRows>(sums, x, column, Isa::decode(rows[column] + k));
    }
  }
  if (whole < weight.depth) {
#pragma GCC unroll 8
    for (int column = 0; column < Isa::kTileColumns; ++column) {
      add_step<Isa, kRows>(sums, x, column,
                           Isa::decode(rows[column] + whole, weight.depth - whole));
    }
  }
  store_sums<Isa, kRows>(sums, partial);
}

template <typename Isa>
void tile_any(const GemmTile& tile) {
  static_assert(Isa::kTileRows == 3);
  if (tile.x_rows == 3) return tile_rows<Isa, 3>(tile);
  if (tile.x_rows == 2) return tile_rows<Isa, 2>(tile);
  tile_rows<Isa, 1>(tile);
}

template <typename Isa, typename T>
void dot_any(const void* x_panel, int64_t x_rows, const GemmRows& weight, float* partial) {
  static_assert(Isa::kTileRows == 3);
  if (x_rows == 3) return dot_rows<Isa, T, 3>(x_panel, weight, partial);
  if (x_rows == 2) return dot_rows<Isa, T, 2>(x_panel, weight, partial);
  dot_rows<Isa, T, 1>(x_panel, weight, partial);
}

template <typename Isa>
OCTAVO_GEMM_TARGET void reduce_lanes(const float* partial, int64_t count, float* sums) {
  for (int64_t index = 0; index < count; ++index) {
    sums[index] = Isa::sum(partial + index * Isa::kLanes);
  }
}

template <typename Isa, typename T>
constexpr GemmSource source_of(DType dtype) {
  return {.dtype = dtype, .pack = pack_rows<Isa, T>, .dot = dot_any<Isa, T>};
}

template <typename Isa>
constexpr GemmCore core_of(CpuLevel level, std::span<const GemmSource> sources) {
  return {.level = level,
          .step = Isa::kStep,
          .element_bytes = sizeof(typename Isa::Element),
          .lanes = Isa::kLanes,
          .tile_rows = Isa::kTileRows,
          .tile_columns = Isa::kTileColumns,
          .sources = sources,
          .tile = tile_any<Isa>,
          .reduce = reduce_lanes<Isa>};
}

}  // namespace
}  // namespace octavo
