// Emulated: a grid starts when the one before has ended.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace octavo::device {

inline void wait_for_dependencies() {}
inline void launch_dependents() {}

}  // namespace octavo::device
