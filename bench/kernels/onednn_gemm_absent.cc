// The baseline of a build without oneDNN: there is none.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/onednn_gemm.h"

namespace octavo {

std::string onednn_version() { return {}; }

std::unique_ptr<OnednnGemm> OnednnGemm::make(int64_t, int64_t, int64_t) { return nullptr; }

}  // namespace octavo
