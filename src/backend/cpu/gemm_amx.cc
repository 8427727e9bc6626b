// Matrix multiplication with AMX: tiles of bfloat16, float32 sums.
// SPDX-License-Identifier: Apache-2.0
//
// A tile is 16 rows of 64 bytes. The weight is the left operand, whose tiles hold rows as they lie
// in memory, decoded to bfloat16; x is the right one, whose tiles hold pairs of elements across
// rows, and is rearranged once a call. So sums come out as [column, row] and are transposed at the
// end, which is once for all of K.
//
// TDPBF16PS adds the 32 products of a step in an order of its own, even and odd elements apart,
// then adds the result to the sum: the same for every output, wherever it lies in a tile. Like
// VDPBF16PS it treats subnormal inputs as zero and flushes subnormal results to zero.
#include "backend/cpu/gemm.h"

#if OCTAVO_X86_64
#include <utility>

#include "core/checked.h"

#define OCTAVO_GEMM_TARGET                                   \
  __attribute__((                                            \
      target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi" \
             ",avx512bf16,amx-tile,amx-bf16")))
#include "backend/cpu/gemm_bf16_isa.h"

namespace octavo {
namespace {

constexpr int64_t kStep = Bf16Isa::kStep;
constexpr int64_t kTile = 16;          // rows of a tile, and 4-byte elements of one of its rows
constexpr int64_t kPanel = 2 * kTile;  // rows of x, and of the weight, of four tiles of sums
constexpr int64_t kTileFloats = kTile * kTile;
constexpr int64_t kPanelFloats = 4 * kTileFloats;
// A decoded chunk of a weight panel takes two thirds of the L1 cache. A block's chunk of x stays in
// L2 with the block's sums; the decoding of a chunk is spread over the block's rows.
constexpr int64_t kChunkSteps = 16;
constexpr int64_t kBlockRows = 512;
constexpr int64_t kBlockColumns = 128;
constexpr int64_t kMinBlocks = 32;
constexpr int64_t kFewRowsPieceBytes = 64 << 10;

// Around tile instructions that read or write what `address` points to: the compiler's intrinsics
// do not tell it that they do.
inline __attribute__((always_inline)) void order_memory(const void* address) {
  asm volatile("" : : "r"(address) : "memory");
}

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

// sums [4 tiles, column, row] of a panel += weight [steps, kPanel, kStep] · x [steps, halves].
template <bool kTwoHalves>
OCTAVO_GEMM_TARGET void multiply_panel(const GemmTile& tile) {
  constexpr int64_t kTileRowBytes = 64;
  const Halves halves(tile.x_rows);
  const auto* x = static_cast<const std::byte*>(tile.x);
  const auto* weight = static_cast<const std::byte*>(tile.weight);
  order_memory(tile.partial);
  if (tile.first) {
    _tile_zero(0);
    _tile_zero(2);
    if (kTwoHalves) {
      _tile_zero(1);
      _tile_zero(3);
    }
  } else {
    _tile_loadd(0, tile.partial, kTileRowBytes);
    _tile_loadd(2, tile.partial + 2 * kTileFloats, kTileRowBytes);
    if (kTwoHalves) {
      _tile_loadd(1, tile.partial + kTileFloats, kTileRowBytes);
      _tile_loadd(3, tile.partial + 3 * kTileFloats, kTileRowBytes);
    }
  }
  for (int64_t step = 0; step < tile.steps; ++step) {
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
    x += kTileRowBytes * tile.x_rows;
    weight += kPanel * kTileRowBytes;
  }
  _tile_stored(0, tile.partial, kTileRowBytes);
  _tile_stored(2, tile.partial + 2 * kTileFloats, kTileRowBytes);
  if (kTwoHalves) {
    _tile_stored(1, tile.partial + kTileFloats, kTileRowBytes);
    _tile_stored(3, tile.partial + 3 * kTileFloats, kTileRowBytes);
  }
  order_memory(tile.partial);
}

// out[i, r] = in[r, i] of 4-byte elements; `rows` and `out_rows` at most 16. Rows of `in` lie
// kTile elements apart; each row of `out` takes `rows` elements.
OCTAVO_GEMM_TARGET void transpose(const void* in, int64_t rows, void* out, int64_t out_stride,
                                  int64_t out_rows) {
  __m512i a[16];
  __m512i b[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    a[i] = i < rows ? _mm512_loadu_si512(static_cast<const float*>(in) + i * kTile)
                    : _mm512_setzero_si512();
  }
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
  // a[4i + j], 128-bit lane k: column 4k + j of rows 4i … 4i + 3.
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
  constexpr int kEven = 0x88;  // lanes 0 and 2 of both operands
  constexpr int kOdd = 0xDD;
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512i even_low = _mm512_shuffle_i32x4(a[j], a[4 + j], kEven);
    const __m512i even_high = _mm512_shuffle_i32x4(a[8 + j], a[12 + j], kEven);
    const __m512i odd_low = _mm512_shuffle_i32x4(a[j], a[4 + j], kOdd);
    const __m512i odd_high = _mm512_shuffle_i32x4(a[8 + j], a[12 + j], kOdd);
    b[j] = _mm512_shuffle_i32x4(even_low, even_high, kEven);
    b[8 + j] = _mm512_shuffle_i32x4(even_low, even_high, kOdd);
    b[4 + j] = _mm512_shuffle_i32x4(odd_low, odd_high, kEven);
    b[12 + j] = _mm512_shuffle_i32x4(odd_low, odd_high, kOdd);
  }
  const auto mask = static_cast<__mmask16>((uint32_t{1} << rows) - 1);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    if (i == out_rows) break;
    _mm512_mask_storeu_epi32(static_cast<float*>(out) + i * out_stride, mask, b[i]);
  }
}

// One half of a panel of x, at most 16 rows, into its tiles: [steps, 16 pairs, rows, pair].
void pack_half(const GemmSource& source, const GemmRows& x, std::byte* out, int64_t step_bytes) {
  constexpr int64_t kRowBytes = kStep * sizeof(uint16_t);
  alignas(64) std::array<std::byte, kChunkSteps * kTile * kRowBytes> rows;
  for (int64_t k = 0; k < x.depth; k += kChunkSteps * kStep) {
    const int64_t depth = std::min(kChunkSteps * kStep, x.depth - k);
    source.pack(x.slice_depth(k, depth), x.rows, rows.data());
    for (int64_t step = 0; step < ceil_div(depth, kStep); ++step, out += step_bytes) {
      transpose(rows.data() + step * x.rows * kRowBytes, x.rows, out, x.rows, kTile);
    }
  }
}

// The multiplication of one call: x is packed in panels of kPanel rows.
struct AmxGemm : GemmCall {
  int64_t steps() const { return ceil_div(x.depth, kStep); }
  int64_t panels() const { return ceil_div(x.rows, kPanel); }
  int64_t panel_rows(int64_t panel) const { return std::min(kPanel, x.rows - panel * kPanel); }
  std::byte* panel(int64_t index) const {
    return packed_x + index * kPanel * steps() * kStep * static_cast<int64_t>(sizeof(uint16_t));
  }

  void pack_x() const;
  // Columns of a block: few rows are bound by the reading of the weight, whose pieces are small;
  // with more, fewer pieces read x fewer times.
  int64_t block_columns() const;
  void run() const;
};

// One block of the output: kBlockRows × kBlockColumns at most.
class AmxBlock {
 public:
  AmxBlock(const AmxGemm& gemm, int64_t first_row, int64_t first_column, int64_t columns)
      : gemm_(gemm),
        weight_(*kGemmAmx.source(gemm.weight.dtype)),
        first_panel_(first_row / kPanel),
        panels_(std::min(kBlockRows / kPanel, gemm.panels() - first_panel_)),
        first_column_(first_column),
        columns_(columns) {}

  void run() {
    for (int64_t step = 0; step < gemm_.steps(); step += kChunkSteps) {
      for (int64_t column = 0; column < columns_; column += kPanel) add_chunk(column, step);
    }
    for (int64_t panel = 0; panel < panels_; ++panel) store(panel);
  }

 private:
  // A chunk of K of a weight panel, times all rows of the block.
  void add_chunk(int64_t column, int64_t step) {
    const int64_t steps = std::min(kChunkSteps, gemm_.steps() - step);
    const int64_t begin = step * kStep;
    const int64_t depth = std::min(steps * kStep, gemm_.weight.depth - begin);
    const int64_t columns = std::min(kPanel, columns_ - column);
    weight_.pack(gemm_.weight.slice_rows(first_column_ + column, columns).slice_depth(begin, depth),
                 kPanel, weight_panel_.data());
    for (int64_t panel = 0; panel < panels_; ++panel) {
      const int64_t x_rows = gemm_.panel_rows(first_panel_ + panel);
      const GemmTile tile{
          .x = gemm_.panel(first_panel_ + panel) + begin * x_rows * 2,
          .weight = weight_panel_.data(),
          .x_rows = x_rows,
          .steps = steps,
          .first = step == 0,
          .partial = sums(panel, column),
      };
      tiles_.configure(x_rows);
      x_rows > kTile ? multiply_panel<true>(tile) : multiply_panel<false>(tile);
    }
  }

  void store(int64_t panel) {
    const int64_t rows = gemm_.panel_rows(first_panel_ + panel);
    const Halves halves(rows);
    for (int64_t column = 0; column < columns_; column += kTile) {
      const float* in = sums(panel, column / kPanel * kPanel) + column % kPanel * kPanel;
      transpose(in, kTile, rows_.data() + column, kBlockColumns, halves.left);
      if (halves.right == 0) continue;
      transpose(in + kTileFloats, kTile, rows_.data() + kTile * kBlockColumns + column,
                kBlockColumns, halves.right);
    }
    for (int64_t row = 0; row < rows; ++row) {
      gemm_.output((first_panel_ + panel) * kPanel + row, first_column_,
                   std::span(rows_).subspan(row * kBlockColumns, columns_));
    }
  }

  float* sums(int64_t panel, int64_t column) {
    return sums_.data() + (panel * (kBlockColumns / kPanel) + column / kPanel) * kPanelFloats;
  }

  const AmxGemm& gemm_;
  const GemmSource& weight_;
  int64_t first_panel_;
  int64_t panels_;
  int64_t first_column_;
  int64_t columns_;
  Tiles tiles_;
  alignas(64) std::array<std::byte, kChunkSteps * kPanel * kStep * 2> weight_panel_;
  // [panel of x, panel of the weight, tile, column, row]
  alignas(64) std::array<float, kBlockRows * kBlockColumns> sums_;
  alignas(64) std::array<float, kPanel * kBlockColumns> rows_;
};

void AmxGemm::pack_x() const {
  const GemmSource& source = *kGemmAmx.source(x.dtype);
  parallel_for(panels(), /*grain=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) {
      const GemmRows rows = x.slice_rows(index * kPanel, panel_rows(index));
      const Halves halves(rows.rows);
      const int64_t step_bytes = 64 * rows.rows;
      pack_half(source, rows.slice_rows(0, halves.left), panel(index), step_bytes);
      pack_half(source, rows.slice_rows(halves.left, halves.right), panel(index) + 64 * halves.left,
                step_bytes);
    }
  });
}

int64_t AmxGemm::block_columns() const {
  if (x.rows <= kPanel) {
    const int64_t bytes = kPanel * weight.depth * size_of(weight.dtype) + 1;
    return std::clamp(kFewRowsPieceBytes / bytes * kPanel, kPanel, kBlockColumns);
  }
  const int64_t area = weight.rows * ceil_div(x.rows, kBlockRows);
  return std::clamp(round_up(area / kMinBlocks, kPanel), kPanel, kBlockColumns);
}

void AmxGemm::run() const {
  pack_x();
  const int64_t width = block_columns();
  const int64_t column_blocks = ceil_div(weight.rows, width);
  const int64_t blocks = ceil_div(x.rows, kBlockRows) * column_blocks;
  // Neighbours share their rows of x.
  parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) {
      const int64_t column = index % column_blocks * width;
      AmxBlock(*this, index / column_blocks * kBlockRows, column,
               std::min(width, weight.rows - column))
          .run();
    }
  });
}

void multiply(const GemmCall& call) { AmxGemm{call}.run(); }

constexpr std::array<GemmSource, 2> kSources = {
    GemmSource{.dtype = DType::kBF16, .pack = pack_rows<Bf16Isa, bf16>, .dot = nullptr},
    GemmSource{.dtype = DType::kE4M3, .pack = pack_rows<Bf16Isa, e4m3>, .dot = nullptr}};

}  // namespace

constexpr GemmCore kGemmAmx = {.level = CpuLevel::kAmx,
                               .step = kStep,
                               .element_bytes = sizeof(Bf16Isa::Element),
                               .lanes = 1,
                               .tile_rows = kPanel,
                               .tile_columns = kPanel,
                               .sources = kSources,
                               .tile = nullptr,
                               .reduce = nullptr,
                               .blocked = multiply};

}  // namespace octavo
#endif
