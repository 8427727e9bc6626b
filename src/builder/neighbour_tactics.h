// Tactics that suit the neighbours of attention in a decode step.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "builder/layer_timer.h"
#include "builder/tuning_records.h"
#include "ops/device_kernels.h"
#include "program/engine_image.h"

namespace octavo {

// Gives attention and the linears before and behind it, in all layers, those of the device's
// `neighbours` with which a whole layer is fastest, none of them included. Calls that have a tactic
// of their own keep it. `records` may be null.
void choose_neighbour_tactics(Plan& plan, std::span<const Kernel* const> kernels,
                              const SymbolValues& sizes,
                              std::span<const AttentionNeighbours> neighbours,
                              const LayerTimer& timer, TuningRecords* records);

}  // namespace octavo
