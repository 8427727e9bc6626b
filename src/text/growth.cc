// The error beyond the bound.
// SPDX-License-Identifier: Apache-2.0
#include "text/growth.h"

#include <fmt/format.h>

#include "core/error.h"

namespace octavo {

void GrowthGuard::check(size_t before, size_t after) const {
  if (after <= max_grown_bytes(before)) return;
  throw bad_file(file, field,
                 fmt::format("expected at most {} bytes from a text of {} bytes, got {} or more",
                             max_grown_bytes(before), before, after));
}

}  // namespace octavo
