// Walking over experts' rows.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/expert_rows.h"

#include "backend/cpu/rows.h"

namespace octavo {

void for_each_expert(const TensorView& offsets, const TensorView& y,
                     const std::function<void(const ExpertRows&)>& body) {
  const auto* at = offsets.as<int32_t>();
  const int64_t experts = offsets.rows() - 1;
  for (int64_t i = 0; i <= experts; ++i) {
    checked_index(at[i] - (i == 0 ? 0 : at[i - 1]), y.rows() + 1, "[experts] offsets", i);
    checked_index(at[i], y.rows() + 1, "[experts] offsets", i);
  }
  for (int64_t expert = 0; expert < experts; ++expert) {
    if (at[expert] < at[expert + 1]) body({expert, at[expert], at[expert + 1]});
  }
  clear_rows(y, 0, at[0]);
  clear_rows(y, at[experts], y.rows());
}

}  // namespace octavo
