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
#include "core/checked.h"

#define OCTAVO_GEMM_TARGET                                   \
  __attribute__((                                            \
      target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi" \
             ",avx512bf16,amx-tile,amx-bf16")))
#include "backend/cpu/gemm_amx_tiles.h"

namespace octavo {
namespace {

// A decoded chunk of a weight panel takes two thirds of the L1 cache. A block's chunk of x stays in
// L2 with the block's sums; the decoding of a chunk is spread over the block's rows.
constexpr int64_t kChunkSteps = 16;
constexpr int64_t kBlockRows = 256;
constexpr int64_t kBlockColumns = 128;
constexpr int64_t kMinBlocks = 32;
// Few rows read the weight in small pieces, so that the threads end together, and fetch this far
// along its rows.
constexpr int64_t kFewRowsPieceBytes = 64 << 10;
constexpr int64_t kAheadElements = 256;

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

// One chunk of a weight panel times a panel of x.
struct PanelProduct {
  const std::byte* x;       // [steps, halves]
  const std::byte* weight;  // [steps, kPanel, kStep]
  int64_t x_rows;
  int64_t steps;
  bool first;   // start from zero, or from what `sums` holds
  float* sums;  // [4 tiles, column, row]
};

template <bool kTwoHalves>
OCTAVO_GEMM_TARGET void multiply_panel(const PanelProduct& product) {
  const Halves halves(product.x_rows);
  order_memory(product.weight);
  product.first ? zero_sums<kTwoHalves>() : load_sums<kTwoHalves>(product.sums);
  for (int64_t step = 0; step < product.steps; ++step) {
    add_step<kTwoHalves>(product.x + step * kTileRowBytes * product.x_rows,
                         product.weight + step * kWeightStepBytes, halves);
  }
  store_sums<kTwoHalves>(product.sums);
}

// Two steps of a weight panel, at `k` of its rows, decoded; past the end there are zeros.
template <typename T>
OCTAVO_GEMM_TARGET inline __attribute__((always_inline)) void decode_steps(const GemmRows& weight,
                                                                           int64_t k,
                                                                           std::byte* out) {
  const T* row = reinterpret_cast<const T*>(weight.data) + k;
  const int64_t left = weight.depth - k;
  // What is read next is further along the rows, whose beginning was fetched before.
  const int64_t ahead = left > kAheadElements ? kAheadElements : 0;
  auto* first = reinterpret_cast<uint16_t*>(out);
  uint16_t* second = first + kPanel * kStep;
  for (int64_t r = 0; r < kPanel; ++r) {
    prefetch_l2<2 * kStep * sizeof(T)>(row + ahead);
    const auto pair = left >= 2 * kStep ? AmxIsa::decode_pair(row) : AmxIsa::decode_pair(row, left);
    AmxIsa::store(first + r * kStep, pair.first);
    AmxIsa::store(second + r * kStep, pair.second);
    if (r + 1 < weight.rows) row += weight.row_stride;  // the last one repeats
  }
}

// sums [4 tiles, column, row] of all of K of one panel of x and at most kPanel rows of the weight.
// Decoding runs ahead of the products, so that neither waits for the other.
template <typename T, bool kTwoHalves>
OCTAVO_GEMM_TARGET void multiply_rows(const std::byte* x, int64_t x_rows, const GemmRows& weight,
                                      float* sums) {
  constexpr int64_t kSlots = 4;
  alignas(64) std::byte decoded[kSlots][2 * kWeightStepBytes];
  const Halves halves(x_rows);
  const int64_t steps = ceil_div(weight.depth, kStep);
  zero_sums<kTwoHalves>();
  for (int64_t r = 0; r < weight.rows; ++r) {
    prefetch_l2<kAheadElements * sizeof(T)>(reinterpret_cast<const T*>(weight.data) +
                                            r * weight.row_stride);
  }
  decode_steps<T>(weight, 0, decoded[0]);
  for (int64_t step = 0; step < steps; step += 2) {
    const int64_t next = step / 2 + 1;
    if (next * 2 < steps) decode_steps<T>(weight, next * 2 * kStep, decoded[next % kSlots]);
    const std::byte* slot = decoded[(next - 1) % kSlots];
    order_memory(slot);
    add_step<kTwoHalves>(x, slot, halves);
    x += kTileRowBytes * x_rows;
    if (step + 1 == steps) break;
    add_step<kTwoHalves>(x, slot + kWeightStepBytes, halves);
    x += kTileRowBytes * x_rows;
  }
  store_sums<kTwoHalves>(sums);
}

// How a type of weight is read.
struct WeightReader {
  void (*pack)(const GemmRows& source, int64_t panel_rows, void* panel);
  void (*multiply_half)(const std::byte* x, int64_t x_rows, const GemmRows& weight, float* sums);
  void (*multiply_halves)(const std::byte* x, int64_t x_rows, const GemmRows& weight, float* sums);
};

template <typename T>
constexpr WeightReader kWeightReader = {.pack = pack_rows<AmxIsa, T>,
                                        .multiply_half = multiply_rows<T, false>,
                                        .multiply_halves = multiply_rows<T, true>};

const WeightReader& weight_reader(DType dtype) {
  return dtype == DType::kBF16 ? kWeightReader<bf16> : kWeightReader<e4m3>;
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
        reader_(weight_reader(gemm.weight.dtype)),
        first_panel_(first_row / kPanel),
        panels_(std::min(kBlockRows / kPanel, gemm.panels() - first_panel_)),
        first_column_(first_column),
        columns_(columns) {}

  void run() {
    if (gemm_.panels() == 1) {
      for (int64_t column = 0; column < columns_; column += kPanel) multiply_few_rows(column);
    } else {
      for (int64_t step = 0; step < gemm_.steps(); step += kChunkSteps) {
        for (int64_t column = 0; column < columns_; column += kPanel) add_chunk(column, step);
      }
    }
    for (int64_t panel = 0; panel < panels_; ++panel) store(panel);
  }

 private:
  GemmRows weight_rows(int64_t column) const {
    return gemm_.weight.slice_rows(first_column_ + column, std::min(kPanel, columns_ - column));
  }

  void multiply_few_rows(int64_t column) {
    const int64_t x_rows = gemm_.x.rows;
    tiles_.configure(x_rows);
    const auto multiply = x_rows > kTile ? reader_.multiply_halves : reader_.multiply_half;
    multiply(gemm_.panel(0), x_rows, weight_rows(column), sums(0, column));
  }

  // A chunk of K of a weight panel, times all rows of the block.
  void add_chunk(int64_t column, int64_t step) {
    const int64_t steps = std::min(kChunkSteps, gemm_.steps() - step);
    const int64_t depth = std::min(steps * kStep, gemm_.weight.depth - step * kStep);
    reader_.pack(weight_rows(column).slice_depth(step * kStep, depth), kPanel,
                 weight_panel_.data());
    for (int64_t panel = 0; panel < panels_; ++panel) {
      const int64_t x_rows = gemm_.panel_rows(first_panel_ + panel);
      const PanelProduct product{.x = x_chunk(panel, step),
                                 .weight = weight_panel_.data(),
                                 .x_rows = x_rows,
                                 .steps = steps,
                                 .first = step == 0,
                                 .sums = sums(panel, column)};
      tiles_.configure(x_rows);
      x_rows > kTile ? multiply_panel<true>(product) : multiply_panel<false>(product);
    }
  }

  const std::byte* x_chunk(int64_t panel, int64_t step) const {
    const int64_t index = first_panel_ + panel;
    return gemm_.panel(index) + step * kTileRowBytes * gemm_.panel_rows(index);
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
  const WeightReader& reader_;
  int64_t first_panel_;
  int64_t panels_;
  int64_t first_column_;
  int64_t columns_;
  Tiles tiles_;
  alignas(64) std::array<std::byte, kChunkSteps * kWeightStepBytes> weight_panel_;
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
      const int64_t step_bytes = kTileRowBytes * rows.rows;
      pack_half(source, rows.slice_rows(0, halves.left), panel(index), step_bytes);
      pack_half(source, rows.slice_rows(halves.left, halves.right),
                panel(index) + kTileRowBytes * halves.left, step_bytes);
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
    GemmSource{.dtype = DType::kBF16, .pack = pack_rows<AmxIsa, bf16>, .dot = nullptr},
    GemmSource{.dtype = DType::kE4M3, .pack = pack_rows<AmxIsa, e4m3>, .dot = nullptr}};

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
