// ShareGPT files: a JSON list of conversations, of which the first two turns make a request.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "measure/dataset.h"

namespace octavo {

// Conversations in an order that the seed decides; the first turn is the prompt and the length of
// the second the number of output tokens. Left out, as is usual for this data set: fewer than two
// turns, fewer than 4 tokens in either, a prompt above 1024 tokens, both together above 2048.
// Needs options.tokenize (kUnsupported without).
Dataset read_sharegpt(const std::filesystem::path& path, const DatasetOptions& options);

}  // namespace octavo
