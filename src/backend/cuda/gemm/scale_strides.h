// Where a product's scales lie that are not one of the input and one a segment of the weight.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace octavo::cuda {

// In elements; 0 where one scale serves all. The scale of a weight row and part of K stands at
// row / block_rows × weight_row + part.
struct ScaleStrides {
  int64_t input_row = 0;   // from a token's scales to the next token's
  int64_t weight_row = 0;  // from a block of weight rows to the next
  int input_part = 0;      // from a part of K to the next
  int block_rows = 0;      // weight rows that share scales; 0: there is one scale a segment
  int part = 0;            // columns of K that share scales; 0: all of them
};

}  // namespace octavo::cuda
