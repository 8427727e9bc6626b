// Evaluation of symbolic sizes.
// SPDX-License-Identifier: Apache-2.0
#include "ops/dim.h"

#include "core/checked.h"

namespace octavo {
namespace {

const char* name_of(Symbol symbol) {
  switch (symbol) {
    case Symbol::kConstant:
      return "constant";
    case Symbol::kTokens:
      return "tokens";
    case Symbol::kSequences:
      return "sequences";
    case Symbol::kLogitRows:
      return "logit_rows";
    case Symbol::kTokensTopK:
      return "tokens_top_k";
    case Symbol::kCacheBlocks:
      return "cache_blocks";
    case Symbol::kTableWidth:
      return "table_width";
  }
  return "?";
}

int64_t value_of(const Dim& dim, const SymbolValues& values) {
  switch (dim.symbol) {
    case Symbol::kConstant:
      return 0;
    case Symbol::kTokens:
      return values.tokens;
    case Symbol::kSequences:
      return values.sequences;
    case Symbol::kLogitRows:
      return values.logit_rows;
    case Symbol::kTokensTopK:
      return values.tokens * dim.value;
    case Symbol::kCacheBlocks:
      return values.cache_blocks;
    case Symbol::kTableWidth:
      return values.table_width;
  }
  return 0;
}

}  // namespace

int64_t evaluate(const Dim& dim, const SymbolValues& values) {
  if (dim.is_constant()) return dim.value;
  return ceil_div(round_up(value_of(dim, values), dim.multiple), dim.divisor);
}

Shape evaluate(const SymbolicShape& shape, const SymbolValues& values) {
  std::vector<int64_t> dims;
  for (const Dim& dim : shape) dims.push_back(evaluate(dim, values));
  return Shape(dims);
}

std::string to_string(const SymbolicShape& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) out += ", ";
    out += shape[i].is_constant() ? std::to_string(shape[i].value) : name_of(shape[i].symbol);
    if (shape[i].symbol == Symbol::kTokensTopK) out += fmt::format("({})", shape[i].value);
    if (shape[i].multiple != 1) out += fmt::format("/{}", shape[i].multiple);
    if (shape[i].divisor != 1) out += fmt::format(" of {} ranks", shape[i].divisor);
  }
  return out + "]";
}

}  // namespace octavo
