// Steps as messages between the processes of ranks, and what these agree on before the first one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "comm/process_group.h"
#include "program/batch.h"
#include "program/engine_image.h"

namespace octavo {

// What a rank runs of a step: where its tokens come from is settled.
struct StepMessage {
  Batch batch;
  SymbolValues sizes;
  bool is_decode = false;
};

std::string encode_step(const Batch& batch, const SymbolValues& sizes, bool is_decode);
// Throws Error(kDevice) for bytes that are no step, or one beyond `maxima`.
StepMessage decode_step(std::string_view bytes, const SymbolValues& maxima);

// Called by all ranks, each with its image and the most that it can run: all have the same engine,
// make the same calls between ranks and run steps of the same sizes, else Error(kUnsupported) that
// names the rank which differs. The cache gets the blocks of the smallest rank.
SymbolValues agree_on_maxima(ProcessGroup& processes, const EngineImage& image,
                             const SymbolValues& own);

}  // namespace octavo
