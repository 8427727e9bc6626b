// LayerTimer: measures a layer of a decode step as a whole.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/device.h"
#include "ops/kernel.h"
#include "program/program.h"

namespace octavo {

// What kernels do to their neighbours, by when they ask for memory and let each other in, no kernel
// that is timed behind itself shows. A layer in the middle runs in a graph, again and again, with
// weights and caches that the device's cache does not hold where one layer's are larger than it.
class LayerTimer {
 public:
  explicit LayerTimer(Device& device) : device_(device) {}

  // Microseconds of the layer with each of `tactics`, which have one for every call of the Program.
  // `sizes` are those of a decode step.
  std::vector<double> time(const Program& program, std::span<const Kernel* const> kernels,
                           SymbolValues sizes,
                           std::span<const std::vector<std::string>> tactics) const;

 private:
  Device& device_;
};

// The calls of a layer in the middle as a Program of their own; what calls before it wrote is an
// input. `first`: the index of its first call.
struct LayerProgram {
  Program program;
  size_t first = 0;
};
LayerProgram middle_layer(const Program& program);

}  // namespace octavo
