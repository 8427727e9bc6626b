// Writes the engine of a model that is loaded: built from its checkpoint, or copied.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "octavo/llm.h"

namespace octavo {

// Error(kUnsupported) for dummy weights. The directory appears complete or not at all.
void save_engine(const ModelOptions& model, const std::filesystem::path& engine_dir, bool overwrite,
                 Progress& progress);

}  // namespace octavo
