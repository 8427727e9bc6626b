// Questions that kernels ask about a Problem.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/problem.h"

#include <algorithm>

namespace octavo::cuda {

Verdict check_activations(const Problem& problem, std::initializer_list<int> same) {
  const DType dtype = problem.inputs[*same.begin()].dtype;
  if (!is_activation(dtype)) return Verdict::no(fmt::format("activations of {}", to_string(dtype)));
  for (const int index : same) {
    if (problem.inputs[index].dtype != dtype)
      return Verdict::no(fmt::format("inputs of {} and {}", to_string(dtype),
                                     to_string(problem.inputs[index].dtype)));
  }
  const DType out = problem.outputs.back().dtype;
  if (out != dtype && out != DType::kE4M3)
    return Verdict::no(fmt::format("{} from {}", to_string(out), to_string(dtype)));
  return Verdict::yes();
}

Verdict first_no(std::initializer_list<Verdict> verdicts) {
  for (const Verdict& verdict : verdicts) {
    if (!verdict.supported) return verdict;
  }
  return Verdict::yes();
}

bool rows_aligned(const TensorView& view, int64_t elements) {
  const int64_t bytes = std::min<int64_t>(16, elements * size_of(view.dtype));
  // A vector is one row, and so is a matrix of one.
  const bool one_row = view.shape.rank() < 2 || view.shape[0] <= 1;
  return reinterpret_cast<uintptr_t>(view.data) % bytes == 0 &&
         (one_row || view.row_stride % elements == 0);
}

int vector_width(int64_t columns, std::initializer_list<const TensorView*> views) {
  if (columns % 8 != 0) return 1;
  const bool aligned = std::all_of(views.begin(), views.end(), [](const TensorView* view) {
    return !view->defined() || rows_aligned(*view, 8);
  });
  return aligned ? 8 : 1;
}

}  // namespace octavo::cuda
