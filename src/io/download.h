// Recognises what a failed download leaves in the place of a model file.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace octavo {

// A reason when `start`, the first bytes of a file, is a Git LFS pointer or a web page; nothing
// otherwise.
std::optional<std::string> download_problem(std::string_view start);

}  // namespace octavo
