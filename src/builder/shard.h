// Shard: cuts a Program and its weights into what one rank runs; models know nothing of it.
// SPDX-License-Identifier: Apache-2.0
//
// Tensor parallelism cuts heads, intermediate columns and the vocabulary, as the architecture's
// table of tensors says; pipeline parallelism cuts between layers. It runs before any fusion, so
// that a stage hands over one hidden state and every reduction is a call of its own.
#pragma once

#include "builder/fusion.h"
#include "comm/comm.h"
#include "model/architecture.h"
#include "model/sliced_weights.h"

namespace octavo {

// Which part of the draft's weights the rank holds; the draft becomes the rank's own. Throws
// Error(kUnsupported) with the sizes that are legal where a scale or an op does not let itself be
// cut.
WeightSlices shard(Draft& draft, std::span<const ModelTensor> tensors, const ModelConfig& config,
                   const RankPlace& place);

// Whether heads and intermediate columns divide among so many ranks.
bool shards_layers(const ModelConfig& config, int64_t tp_size);

// Whether each rank holds an equal part of the vocabulary; else each holds all of it.
bool shards_vocabulary(const ModelConfig& config, int64_t tp_size);

// The heads of one rank: more ranks than KV heads share them in turn.
int64_t kv_heads_of_rank(int64_t num_kv_heads, int64_t tp_size);

// What happens to a scale where its data is cut. A scale that spans the axis (one for all, or one
// for each element of the other axis) is whole on every rank; one that follows the axis, an element
// or a block at a time, is cut with it, and only between blocks. Throws Error(kUnsupported) naming
// `scale` otherwise.
std::optional<WeightSlice> slice_of_scale(const std::string& scale, const Shape& scale_shape,
                                          const Shape& data_shape, const WeightSlice& data_slice);

}  // namespace octavo
