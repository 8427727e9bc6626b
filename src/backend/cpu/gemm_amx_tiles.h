// AMX tiles for gemm_amx.cc: their shapes, the decoding of a weight into them, and their products.
// SPDX-License-Identifier: Apache-2.0
#ifndef OCTAVO_GEMM_TARGET
#error "gemm_amx_tiles.h: define OCTAVO_GEMM_TARGET first"
#endif
#pragma once

#include "backend/cpu/gemm_bf16_isa.h"

#define OCTAVO_TILES OCTAVO_GEMM_TARGET inline __attribute__((always_inline))

namespace octavo {
namespace {

constexpr int64_t kStep = Bf16Isa::kStep;
constexpr int64_t kTile = 16;          // rows of a tile, and 4-byte elements of one of its rows
constexpr int64_t kPanel = 2 * kTile;  // rows of x, and of the weight, of four tiles of sums
constexpr int64_t kTileRowBytes = 64;
constexpr int64_t kTileFloats = kTile * kTile;
constexpr int64_t kPanelFloats = 4 * kTileFloats;
constexpr int64_t kWeightStepBytes = kPanel * kTileRowBytes;  // of a weight panel

// Around tile instructions that read or write what `address` points to: the compiler's intrinsics
// do not tell it that they do.
inline __attribute__((always_inline)) void order_memory(const void* address) {
  asm volatile("" : : "r"(address) : "memory");
}

// E4M3 decoded by arithmetic, which halves the shuffles: a normal code moves to bfloat16's fields
// by shifts and a larger bias. Subnormal and NaN codes are rare in a weight and take the tables.
struct AmxIsa : Bf16Isa {
  using Bf16Isa::decode_pair;
  OCTAVO_INLINE Pair decode_pair(const e4m3* in) { return decode(_mm512_loadu_si512(in)); }
  OCTAVO_INLINE Pair decode_pair(const e4m3* in, int64_t count) {
    return decode(_mm512_maskz_loadu_epi8(first(count), in));
  }

 private:
  OCTAVO_INLINE Pair decode(__m512i codes) {
    // NaN codes have magnitude 0x7F; less eight, subnormal ones are 0x78 … 0x7F.
    const __m512i magnitude =
        _mm512_and_si512(_mm512_sub_epi8(codes, _mm512_set1_epi8(8)), _mm512_set1_epi8(0x7F));
    if (_mm512_cmpge_epu8_mask(magnitude, _mm512_set1_epi8(0x77)) != 0) [[unlikely]] {
      return decode_codes(codes);
    }
    // So that the bytes of two registers, interleaved within lanes, are in order.
    const __m512i spread =
        _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), codes);
    const __m512i low = _mm512_and_si512(_mm512_slli_epi16(spread, 4), _mm512_set1_epi8(-0x10));
    const __m512i sign = _mm512_and_si512(spread, _mm512_set1_epi8(-0x80));
    // (upper bits & 7) | sign, plus half of the difference of the biases
    const __m512i high = _mm512_add_epi8(
        _mm512_ternarylogic_epi32(_mm512_srli_epi16(spread, 4), _mm512_set1_epi8(7), sign, 0xEA),
        _mm512_set1_epi8((127 - 7) / 2));
    return {_mm512_unpacklo_epi8(low, high), _mm512_unpackhi_epi8(low, high)};
  }
};

// The shapes of the eight tiles: 0 … 3 sums of (half of the weight panel, half of the x panel),
// 4 and 5 halves of the weight panel, 6 and 7 halves of the x panel.
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileShapes) == 64);

// Rows of the halves of a panel of x.
struct Halves {
  explicit Halves(int64_t rows) : left(std::min(kTile, rows)), right(rows - left) {}
  int64_t left;
  int64_t right;
};

// The tiles of this thread while it lives.
class Tiles {
 public:
  Tiles() = default;
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
  OCTAVO_GEMM_TARGET ~Tiles() { _tile_release(); }

  // Makes them fit panels of so many rows of x.
  OCTAVO_GEMM_TARGET void configure(int64_t x_rows) {
    if (x_rows == x_rows_) return;
    x_rows_ = x_rows;
    const Halves halves(x_rows);
    TileShapes shapes;
    const auto shape = [&](int tile, int64_t columns) {
      shapes.row_bytes[tile] = static_cast<uint16_t>(4 * columns);
      shapes.rows[tile] = columns > 0 ? kTile : 0;
    };
    for (const int tile : {0, 2, 6}) shape(tile, halves.left);
    for (const int tile : {1, 3, 7}) shape(tile, halves.right);
    for (const int tile : {4, 5}) shape(tile, kTile);
    order_memory(&shapes);
    _tile_loadconfig(&shapes);
  }

 private:
  int64_t x_rows_ = 0;
};

template <bool kTwoHalves>
OCTAVO_TILES void zero_sums() {
  _tile_zero(0);
  _tile_zero(2);
  if (kTwoHalves) {
    _tile_zero(1);
    _tile_zero(3);
  }
}

template <bool kTwoHalves>
OCTAVO_TILES void load_sums(const float* sums) {
  order_memory(sums);
  _tile_loadd(0, sums, kTileRowBytes);
  _tile_loadd(2, sums + 2 * kTileFloats, kTileRowBytes);
  if (kTwoHalves) {
    _tile_loadd(1, sums + kTileFloats, kTileRowBytes);
    _tile_loadd(3, sums + 3 * kTileFloats, kTileRowBytes);
  }
}

template <bool kTwoHalves>
OCTAVO_TILES void store_sums(float* sums) {
  _tile_stored(0, sums, kTileRowBytes);
  _tile_stored(2, sums + 2 * kTileFloats, kTileRowBytes);
  if (kTwoHalves) {
    _tile_stored(1, sums + kTileFloats, kTileRowBytes);
    _tile_stored(3, sums + 3 * kTileFloats, kTileRowBytes);
  }
  order_memory(sums);
}

// The order of summation of every path: the sums take one step of K after another.
template <bool kTwoHalves>
OCTAVO_TILES void add_step(const std::byte* x, const std::byte* weight, const Halves& halves) {
  _tile_loadd(6, x, 4 * halves.left);
  _tile_loadd(4, weight, kTileRowBytes);
  _tile_dpbf16ps(0, 4, 6);
  _tile_loadd(5, weight + kTile * kTileRowBytes, kTileRowBytes);
  _tile_dpbf16ps(2, 5, 6);
  if (kTwoHalves) {
    _tile_loadd(7, x + kTileRowBytes * halves.left, 4 * halves.right);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(3, 5, 7);
  }
}

}  // namespace
}  // namespace octavo
