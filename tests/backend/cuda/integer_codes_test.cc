// Which integer code goes where, without a GPU: fragments as mma.sync and wgmma read them.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/device/integer_codes.cuh"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cstring>
#include <random>
#include <set>
#include <vector>

#include "numerics/bf16.h"
#include "numerics/integer_codes.h"

namespace octavo::device {
namespace {

float half_of(uint32_t word, int index) {
  return std::bit_cast<float>(static_cast<uint32_t>(word >> (16 * index)) << 16);
}
float decoded(CodePair pair, int index) {
  return half_of(pair.value, index) - half_of(pair.offset, index);
}

TEST(IntegerCodes, EveryCodeIsExact) {
  for (uint32_t low = 0; low < 256; ++low) {
    for (uint32_t high = 0; high < 256; ++high) {
      const uint32_t word = low | 0xA500u | high << 16 | 0x5A000000u;
      const CodePair eights = int8_pair(word);
      ASSERT_EQ(decoded(eights, 0), static_cast<int8_t>(low));
      ASSERT_EQ(decoded(eights, 1), static_cast<int8_t>(high));
      const CodePair fours = int4_pair(word);
      ASSERT_EQ(decoded(fours, 0), unpack_int4(static_cast<uint8_t>(low), 0));
      ASSERT_EQ(decoded(fours, 1), unpack_int4(static_cast<uint8_t>(high), 0));
      ASSERT_EQ(decoded(int4_pair(word >> 4), 0), unpack_int4(static_cast<uint8_t>(low), 1));
      ASSERT_EQ(decoded(int4_pair(word >> 4), 1), unpack_int4(static_cast<uint8_t>(high), 1));
    }
  }
}

TEST(IntegerCodes, ThreadsTakeEveryColumnOfAStepOnce) {
  std::set<int> columns;
  for (int t = 0; t < 4; ++t) {
    for (int half = 0; half < 2; ++half) {
      for (int product = 0; product < 4; ++product) {
        for (int slot = 0; slot < 4; ++slot)
          columns.insert(StepLayout::column(t, half) + StepLayout::column_in_piece(product, slot));
      }
    }
  }
  EXPECT_EQ(columns.size(), 128u);
  EXPECT_EQ(*columns.begin(), 0);
  EXPECT_EQ(*columns.rbegin(), 127);
}

// Eight neighbouring threads load 16 bytes each at a time: from all 32 banks.
TEST(IntegerCodes, LoadsOfAStepHaveNoBankConflicts) {
  for (int phase = 0; phase < 4; ++phase) {
    for (int half = 0; half < 2; ++half) {
      std::set<int> codes;
      std::array<std::set<int>, 2> x;
      for (int lane = 8 * phase; lane < 8 * phase + 8; ++lane) {
        const int g = lane / 4, t = lane % 4;
        codes.insert(StepLayout::code_offset(g, t, half));
        for (int eight = 0; eight < 2; ++eight)
          x[eight].insert(StepLayout::x_offset(g, t, half, eight));
        EXPECT_EQ(StepLayout::code_offset(g, t, half),
                  StepLayout::code_offset(g, t, 0) ^ (half << 4));
        EXPECT_EQ(StepLayout::x_offset(g, t, half, 1), StepLayout::x_offset(g, t, half, 0) ^ 16);
        EXPECT_EQ(StepLayout::x_offset(g, t, half, 0),
                  StepLayout::x_offset(g, t, 0, 0) ^ (half << 5));
      }
      EXPECT_EQ(codes.size(), 8u);
      EXPECT_EQ(x[0].size(), 8u);
      EXPECT_EQ(x[1].size(), 8u);
    }
  }
}

// Rows of 128 bytes in the 128-byte swizzle, as TMA writes them.
class SwizzledRows {
 public:
  explicit SwizzledRows(int rows) : bytes_(static_cast<size_t>(rows) * 128) {}
  void put(int row, int byte, uint8_t value) {
    bytes_[static_cast<size_t>(row) * 128 + (((byte / 16) ^ (row % 8)) * 16 + byte % 16)] = value;
  }
  template <typename T>
  T load(int offset) const {
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }

 private:
  std::vector<uint8_t> bytes_;
};

// 16 rows of codes over one step, with as many tokens as a product takes.
struct Step {
  static constexpr int kRows = 16, kColumns = 128, kTokens = 8;
  bool four_bits;
  int codes[kRows][kColumns];
  float x[kTokens][kColumns];
  SwizzledRows stored{kRows};
  SwizzledRows lines{2 * kTokens};  // columns 0 … 63 of all tokens, then 64 … 127

  explicit Step(bool four) : four_bits(four) {
    std::mt19937 engine(7);
    const int limit = four_bits ? 8 : 128;
    std::uniform_int_distribution<int> any(-limit, limit - 1), small(-4, 4);
    for (int k = 0; k < kColumns; ++k) {
      for (auto& row : codes) row[k] = any(engine);
      for (auto& token : x) token[k] = static_cast<float>(small(engine));
      for (int row = 0; row < kRows; row += four_bits ? 2 : 1) {
        if (four_bits)
          stored.put(row / 2, k,
                     pack_int4(static_cast<int8_t>(codes[row][k]),
                               static_cast<int8_t>(codes[row + 1][k])));
        else
          stored.put(row, k, static_cast<uint8_t>(codes[row][k]));
      }
      for (int token = 0; token < kTokens; ++token) {
        const bf16 value = to_bf16(x[token][k]);
        uint8_t bytes[2];
        std::memcpy(bytes, &value, 2);
        for (int i = 0; i < 2; ++i) lines.put(k / 64 * kTokens + token, k % 64 * 2 + i, bytes[i]);
      }
    }
  }

  float dot(int row, int token) const {
    float sum = 0;
    for (int k = 0; k < kColumns; ++k) sum += static_cast<float>(codes[row][k]) * x[token][k];
    return sum;
  }
};

uint32_t permuted(uint32_t a, uint32_t b, uint32_t selector) {  // __byte_perm
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t index = selector >> (4 * i) & 7;
    result |= ((index < 4 ? a >> (8 * index) : b >> (8 * (index - 4))) & 0xFFu) << (8 * i);
  }
  return result;
}

// What decode_words of decode_integer.cuh does.
std::array<CodePair, 4> decode_words(bool four_bits, uint32_t lower, uint32_t upper) {
  if (four_bits)
    return {int4_pair(lower), int4_pair(lower >> 4), int4_pair(lower >> 8), int4_pair(lower >> 12)};
  return {int8_pair(lower), int8_pair(upper), int8_pair(lower >> 8), int8_pair(upper >> 8)};
}

// A[16, 16] and B[8, 16] of one product, put together from the registers of all threads as the PTX
// ISA lays out the fragments of mma.m16n8k16.
struct Fragments {
  float a[16][16], b[8][16];

  void set_a(int g, int t, int reg, CodePair pair) {
    for (int i = 0; i < 2; ++i) a[g + reg % 2 * 8][2 * t + i + reg / 2 * 8] = decoded(pair, i);
  }
  void set_b(int g, int t, int reg, uint32_t word) {
    for (int i = 0; i < 2; ++i) b[g][2 * t + i + reg * 8] = half_of(word, i);
  }
};

Fragments fragments_of(const Step& step, int half, int product) {
  Fragments fragments = {};
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    const int from = g * 128 + StepLayout::code_offset(g, t, half) + 4 * product;
    const auto lower = step.stored.load<uint32_t>(from);
    const auto upper = step.four_bits ? lower : step.stored.load<uint32_t>(from + 8 * 128);
    const auto a = decode_words(step.four_bits, lower, upper);
    for (int reg = 0; reg < 4; ++reg) fragments.set_a(g, t, reg, a[reg]);
    const int line = StepLayout::x_line(t) * Step::kTokens + g;
    const auto v = step.lines.load<std::array<uint32_t, 2>>(
        line * 128 + StepLayout::x_offset(g, t, half, product / 2) + product % 2 * 8);
    fragments.set_b(g, t, 0, permuted(v[0], v[1], 0x5410));
    fragments.set_b(g, t, 1, permuted(v[0], v[1], 0x7632));
  }
  return fragments;
}

TEST(IntegerCodes, FewTokensMultiplyEveryCodeWithItsElement) {
  for (const bool four_bits : {false, true}) {
    const Step step(four_bits);
    float sums[16][8] = {};
    for (int half = 0; half < 2; ++half) {
      for (int product = 0; product < 4; ++product) {
        const Fragments f = fragments_of(step, half, product);
        for (int row = 0; row < 16; ++row) {
          for (int token = 0; token < 8; ++token) {
            for (int k = 0; k < 16; ++k) sums[row][token] += f.a[row][k] * f.b[token][k];
          }
        }
      }
    }
    for (int row = 0; row < 16; ++row) {
      for (int token = 0; token < 8; ++token)
        EXPECT_EQ(sums[row][token], step.dot(row_of_pair(four_bits, row % 8, row / 8), token));
    }
  }
}

// wgmma takes x as it lies: k is not permuted.
TEST(IntegerCodes, ManyTokensPutEveryCodeIntoItsPlace) {
  for (const bool four_bits : {false, true}) {
    const Step step(four_bits);
    for (int product = 0; product < 8; ++product) {
      Fragments f = {};
      for (int lane = 0; lane < 32; ++lane) {
        const int g = lane / 4, t = lane % 4;
        for (int upper = 0; upper < 2; ++upper) {
          const auto spread = [&](int row) {
            const int offset = wgmma_offset(row, t, product, upper);
            EXPECT_EQ(offset, (wgmma_offset(row, t, 0, 0) ^ (product << 4)) + 8 * upper);
            return permuted(step.stored.load<uint16_t>(row * 128 + offset), 0, 0x4140);
          };
          const uint32_t low = spread(four_bits ? g : neighbour_row(false, g, 0));
          const CodePair first = four_bits ? int4_pair(low) : int8_pair(low);
          const CodePair second =
              four_bits ? int4_pair(low >> 4) : int8_pair(spread(neighbour_row(false, g, 1)));
          f.set_a(g, t, 2 * upper, first);
          f.set_a(g, t, 2 * upper + 1, second);
        }
      }
      for (int row = 0; row < 16; ++row) {
        const int of_tile = neighbour_row(four_bits, row % 8, row / 8);
        for (int k = 0; k < 16; ++k)
          ASSERT_EQ(f.a[row][k], static_cast<float>(step.codes[of_tile][16 * product + k]));
      }
    }
  }
}

TEST(IntegerCodes, ManyTokensReadFromDifferentBanksAndStoreNeighbours) {
  for (const bool four_bits : {false, true}) {
    std::set<int> rows;
    for (int high = 0; high < 2; ++high) {
      std::set<int> places;
      for (int g = 0; g < 8; ++g) {
        const int row = neighbour_row(four_bits, g, high);
        rows.insert(row);
        EXPECT_EQ(row / 2, g);
        for (int t = 0; t < 4; ++t)
          places.insert(wgmma_offset(four_bits ? g : row, t, 3, high) / 4);
      }
      EXPECT_EQ(places.size(), 16u);  // two threads a bank, and those read one word
    }
    EXPECT_EQ(rows.size(), 16u);
  }
}

}  // namespace
}  // namespace octavo::device
