// Symbolic sizes: a Program's shapes are constants or multiples of what a step is made of.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/tensor.h"

namespace octavo {

enum class Symbol : uint8_t {
  kConstant,
  kTokens,       // tokens of this step, over all sequences
  kSequences,    // sequences of this step
  kLogitRows,    // rows that lm_head runs on
  kTokensTopK,   // tokens × experts a token (`value` of the dimension)
  kCacheBlocks,  // blocks of the KV pool
  kTableWidth,   // columns of the block table
};

// ceil(ceil_to_multiple(symbol, multiple) / divisor) for a symbol, `value` for a constant.
struct Dim {
  Symbol symbol = Symbol::kConstant;
  int64_t value = 0;
  int64_t multiple = 1;
  int64_t divisor = 1;  // ranks that share the rows

  static Dim constant(int64_t value) { return {Symbol::kConstant, value}; }
  static Dim of(Symbol symbol, int64_t multiple = 1, int64_t divisor = 1) {
    return {symbol, 0, multiple, divisor};
  }
  static Dim tokens_top_k(int64_t top_k) { return {Symbol::kTokensTopK, top_k}; }
  bool is_constant() const { return symbol == Symbol::kConstant; }
  bool operator==(const Dim&) const = default;
};

using SymbolicShape = std::vector<Dim>;

// The values that the symbols take in one step (or their maxima, for planning).
struct SymbolValues {
  int64_t tokens = 0;
  int64_t sequences = 0;
  int64_t logit_rows = 0;
  int64_t cache_blocks = 0;
  int64_t table_width = 0;
};

int64_t evaluate(const Dim& dim, const SymbolValues& values);
Shape evaluate(const SymbolicShape& shape, const SymbolValues& values);
std::string to_string(const SymbolicShape& shape);  // "[tokens, 4096]"

// Shape and element type of one operand; an absent optional operand has `present` false.
struct OperandSpec {
  SymbolicShape shape;
  DType dtype = DType::kF32;
  bool present = true;
};

}  // namespace octavo
