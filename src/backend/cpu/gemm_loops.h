// The loops of a GemmCore, written once for every instruction set.
// SPDX-License-Identifier: Apache-2.0
//
// A gemm_<instruction set>.cc defines OCTAVO_GEMM_TARGET, the target attribute of its functions,
// includes this header, and gives its templates a struct `Isa`:
// - Element, Packed, Accumulator: a packed element; one step of them, and one accumulator, in
//   registers; Pair {first, second}: two steps
// - kStep, kLanes, kTileRows, kTileColumns
// - load, store: one step of packed elements
// - decode_pair(T*), decode_pair(T*, count): two steps of a source type; with a count below two
//   steps, that many elements and zeros
// - zero, load_lanes, store_lanes, multiply_add(x, weight, sum): of accumulators
// - sum(lanes): adds the lanes of one accumulator in the fixed tree
// Only those files may include it: the functions have internal linkage.
#ifndef OCTAVO_GEMM_TARGET
#error "gemm_loops.h: define OCTAVO_GEMM_TARGET first"
#endif
#pragma once

#include <algorithm>

#include "backend/cpu/gemm.h"

// GCC 12 warns of registers that its own header leaves undefined on purpose.
#pragma GCC diagnostic push
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop

// Before a static member function of an `Isa`.
#define OCTAVO_INLINE OCTAVO_GEMM_TARGET __attribute__((always_inline)) static inline

namespace octavo {
namespace {

// The rows that are read next follow the present ones in memory. They are fetched to the L2 cache:
// fetching them to L1 evicts what is being read and halves the speed.
template <int kBytes>
inline __attribute__((always_inline)) void prefetch_l2(const void* address) {
#pragma GCC unroll 4
  for (int offset = 0; offset < kBytes; offset += 64) {
    __builtin_prefetch(static_cast<const std::byte*>(address) + offset, /*write=*/0,
                       /*locality=*/2);
  }
}

template <typename Isa, typename T>
OCTAVO_GEMM_TARGET void pack_row(const T* in, int64_t depth, int64_t ahead,
                                 typename Isa::Element* out, int64_t step_elements) {
  const int64_t whole = depth / (2 * Isa::kStep) * (2 * Isa::kStep);
  for (int64_t k = 0; k < whole; k += 2 * Isa::kStep, out += 2 * step_elements) {
    prefetch_l2<2 * Isa::kStep * sizeof(T)>(in + k + ahead);
    const auto pair = Isa::decode_pair(in + k);
    Isa::store(out, pair.first);
    Isa::store(out + step_elements, pair.second);
  }
  if (whole == depth) return;
  const auto pair = Isa::decode_pair(in + whole, depth - whole);
  Isa::store(out, pair.first);
  if (whole + Isa::kStep < depth) Isa::store(out + step_elements, pair.second);
}

template <typename Isa, typename T>
OCTAVO_GEMM_TARGET void pack_rows(const GemmRows& source, int64_t panel_rows, void* panel) {
  auto* const out = static_cast<typename Isa::Element*>(panel);
  const int64_t step_elements = panel_rows * Isa::kStep;
  if (source.rows < panel_rows) {
    std::fill_n(out, (source.depth + Isa::kStep - 1) / Isa::kStep * step_elements,
                typename Isa::Element{});
  }
  for (int64_t row = 0; row < source.rows; ++row) {
    const T* in = reinterpret_cast<const T*>(source.data) + row * source.row_stride;
    pack_row<Isa>(in, source.depth, panel_rows * source.row_stride, out + row * Isa::kStep,
                  step_elements);
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
  constexpr int64_t kPair = 2 * Isa::kStep;
  const int64_t whole = weight.depth / kPair * kPair;
  const int64_t ahead = Isa::kTileColumns * weight.row_stride;
  for (int64_t k = 0; k < whole; k += kPair, x += kRows * kPair) {
#pragma GCC unroll 8
    for (int column = 0; column < Isa::kTileColumns; ++column) {
      prefetch_l2<sizeof(T) * kPair>(rows[column] + k + ahead);
      const auto pair = Isa::decode_pair(rows[column] + k);
      add_step<Isa, kRows>(sums, x, column, pair.first);
      add_step<Isa, kRows>(sums, x + kRows * Isa::kStep, column, pair.second);
    }
  }
  if (whole < weight.depth) {
    const bool second = whole + Isa::kStep < weight.depth;
#pragma GCC unroll 8
    for (int column = 0; column < Isa::kTileColumns; ++column) {
      const auto pair = Isa::decode_pair(rows[column] + whole, weight.depth - whole);
      add_step<Isa, kRows>(sums, x, column, pair.first);
      if (second) add_step<Isa, kRows>(sums, x + kRows * Isa::kStep, column, pair.second);
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
