// oneDNN's bfloat16 matrix multiplication, the baseline of prefill.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace octavo {

// Empty where this program was built without oneDNN.
std::string onednn_version();

// y[rows, out] = x[rows, in] · weightᵀ in bfloat16 with all threads; the weight lies in the layout
// that oneDNN prefers.
class OnednnGemm {
 public:
  // Null where oneDNN is absent or has no such primitive for this CPU.
  static std::unique_ptr<OnednnGemm> make(int64_t rows, int64_t out, int64_t in);
  virtual ~OnednnGemm() = default;
  // Seconds of one call.
  virtual double time() = 0;
};

}  // namespace octavo
