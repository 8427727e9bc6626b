// The one error type: what went wrong, in which file and field, and how it maps to an exit code.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "octavo/error.h"

namespace octavo {

// Shorthands for the two commonest errors.
Error bad_file(std::string_view file, std::string_view field, std::string_view reason);
Error unsupported(std::string_view file, std::string_view field, std::string_view reason);

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace octavo

// For programmer errors only: nothing that comes from input may reach it.
#define OCTAVO_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::octavo::check_failed(#condition, __FILE__, __LINE__))
