// The clock of the builder's timers.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

namespace octavo {

inline double microseconds() {
  return std::chrono::duration<double, std::micro>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace octavo
