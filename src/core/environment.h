// The environment variables that Octavo reads; no other file reads any.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace octavo {

// Where a user's tuning records are: OCTAVO_TUNED_DIR, else octavo/tuned in XDG_CACHE_HOME or in
// ~/.cache. Empty where none of these is set.
std::filesystem::path tuned_directory();

}  // namespace octavo
