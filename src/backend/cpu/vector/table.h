// The table of inner loops, as the including file's instruction set makes it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/vector/attention_step.h"
#include "backend/cpu/vector/convert.h"
#include "backend/cpu/vector/row_math.h"
#include "backend/cpu/vector_ops.h"

namespace octavo {
namespace {

constexpr VectorOps make_vector_ops(std::string_view name) {
  return {.name = name,
          .from_bf16 = from_bf16,
          .to_bf16 = to_bf16_row,
          .round_bf16 = round_bf16,
          .from_e4m3 = from_e4m3,
          .quantize = quantize_row,
          .sum_of_squares = sum_of_squares,
          .add = add,
          .normalize = normalize,
          .rotate = rotate,
          .silu_multiply = silu_multiply,
          .attention_step = attention_step};
}

}  // namespace
}  // namespace octavo
