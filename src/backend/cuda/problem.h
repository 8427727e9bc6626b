// Questions that kernels ask about a Problem, and about the alignment of the views they get.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>

#include "backend/cuda/launch.h"
#include "ops/kernel.h"

namespace octavo::cuda {

inline Launch on(const LaunchContext& context) {
  return {static_cast<cudaStream_t>(context.stream), context.programmatic_launch};
}

inline bool is_activation(DType dtype) { return dtype == DType::kF32 || dtype == DType::kBF16; }

// The inputs at `same` have one activation type, and the last output that type or E4M3.
Verdict check_activations(const Problem& problem, std::initializer_list<int> same);

// The first verdict that is a no, else yes.
Verdict first_no(std::initializer_list<Verdict> verdicts);

// Every row starts on a multiple of `elements` elements and of min(16, their bytes) bytes.
bool rows_aligned(const TensorView& view, int64_t elements);

// Vector width for these views of `columns` columns: 8 where all allow it, else 1.
int vector_width(int64_t columns, std::initializer_list<const TensorView*> views);

}  // namespace octavo::cuda
