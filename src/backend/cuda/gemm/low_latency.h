// FP8 linear for few tokens, alone and with SwiGLU: weights streamed once at the speed of memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "backend/cuda/gemm/scale_strides.h"
#include "backend/cuda/launch.h"
#include "backend/cuda/tensor_map.h"

namespace octavo::cuda {

inline constexpr int kLowLatencyMaxTokens = 64;
inline constexpr int kLowLatencyMaxSegments = 8;
inline constexpr int kLowLatencySharedBytes = 227 * 1024;  // that one CTA can have
inline constexpr int kLowLatencyMaxRows = 128;             // weight rows of a tile
inline constexpr int kLowLatencyMaxSplit = 8;
inline constexpr int kLowLatencyMaxDepth = 32;
inline constexpr int kLowLatencyMaxSteps = 8;
inline constexpr int kLowLatencyStep = 128;       // codes of K of one step
inline constexpr int kLowLatencyTileRows = 64;    // of one product of the tensor cores
inline constexpr int kLowLatencyConsumers = 256;  // threads that multiply and store

constexpr int ceil_divide(int a, int b) { return (a + b - 1) / b; }

// Tokens that the tensor cores are given for m of them.
constexpr int low_latency_tokens(int m) { return m <= 8 ? 8 : m <= 16 ? 16 : m <= 32 ? 32 : 64; }

// Bytes of shared memory beside the ring: sums of `tiles` × 64 rows, scales, barriers.
constexpr int low_latency_rest_bytes(int tokens, int tiles) {
  return 4 * tokens * (64 * tiles + 4) + 4 * kLowLatencyMaxSegments + 16 * kLowLatencyMaxDepth;
}

struct LowLatencyGemm {
  const uint8_t* x;           // [m, k] E4M3
  const uint8_t* weight;      // [n, k] E4M3
  const float* input_scale;   // [1], or as `strides` say
  const float* weight_scale;  // [segments], or as `strides` say
  const void* bias;           // [n] of y's type, of SwiGLU bfloat16; null: none
  void* y;  // [m, n] bfloat16, or float32 with y_is_float; of SwiGLU [m, n / 2] E4M3
  const float* output_scale;  // [1], of SwiGLU
  int64_t x_stride, weight_stride, y_stride;
  int m, n, k;
  int segments;
  int segment_end[kLowLatencyMaxSegments];  // one past the last row of each segment
  bool y_is_float;
  ScaleStrides strides = {};  // of launch_low_latency_vectors and _blocks
};

// How the work is cut. A CTA takes tiles of `rows` weight rows, one after the other, while its
// loads run ahead by a ring of stages; the `split` CTAs of a cluster share the K of one tile. The
// result depends on `split` alone.
struct LowLatencyConfig {
  int rows = 64;   // of a tile: a multiple of 8
  int steps = 4;   // of 128 codes of K in a stage: even
  int depth = 3;   // stages of the ring
  int split = 1;   // a power of two; above 1 a cluster has one tile
  int passes = 1;  // tiles of a CTA, at most
  // Stages before the end of its loads at which a CTA lets the next kernel in; 0: as many as depth.
  int lead = 0;
  // Stages of weights that a CTA asks for before the kernel before it has ended; 0: two, as more
  // delay that kernel's own last loads (docs/performance.md).
  int fill = 0;
};

std::string to_string(const LowLatencyConfig& config);

// The configuration with what a tactic says: "lead 1 fill 2" as above, "ring 116" for a ring that
// leaves the CTA within so many KiB of shared memory. That changes when loads are asked for and no
// result; a builder measures it in a whole layer. Error where it makes no sense.
LowLatencyConfig read_tactic(LowLatencyConfig config, std::string_view tactic, int m, int k);

// The same; a tactic that makes no sense counts for nothing, as of all kernels (ops/kernel.h).
LowLatencyConfig with_tactic(const LowLatencyConfig& config, std::string_view tactic, int m, int k);

// Bytes of dynamic shared memory of one CTA.
int low_latency_shared_bytes(int m, const LowLatencyConfig& config);

// A problem cut for `ctas` CTAs, `split` of them to a tile, with a ring that makes the most of
// `shared_bytes`.
LowLatencyConfig cut_low_latency(int m, int n, int k, int ctas, int split, int shared_bytes);

// What a builder may measure, the default first.
std::vector<LowLatencyConfig> low_latency_candidates(int m, int n, int k, int multiprocessors);

// The configuration for a problem, from what was measured (docs/performance.md). Its split does not
// depend on m: a token's result is the same whatever tokens are beside it.
LowLatencyConfig low_latency_config(int m, int n, int k, int multiprocessors);

// The same for x that is normed by the consumers: it stands beside the ring, whose stages are of
// weights alone. The tiles and the split, and so the results, are those of the linear.
LowLatencyConfig normed_low_latency_config(int n, int k, int multiprocessors);
// with_tactic of it: x leaves the ring what room it has, and "ring" changes nothing.
LowLatencyConfig normed_with_tactic(const LowLatencyConfig& config, std::string_view tactic, int k);
int normed_low_latency_shared_bytes(int k, const LowLatencyConfig& config);

// What the kernel is told of the cut.
struct LowLatencyCut {
  LowLatencyConfig config;
  int tile_stride;   // between the tiles of a CTA
  int whole_rounds;  // tiles of every CTA; `more` CTAs have one more
  int more;
  int stages;   // of K, in all
  int share;    // stages of a CTA, at most
  int x_bytes;  // of a stage: x comes first, then the weights
  int stage_bytes;
  int copies;  // of each operand in a stage: a copy moves all steps, or one where K has a tail
  bool programmatic;  // another kernel may still be writing x
};

LowLatencyCut low_latency_cut(int m, int n, int k, const LowLatencyConfig& config,
                              bool programmatic);

LowLatencyCut normed_low_latency_cut(int n, int k, const LowLatencyConfig& config,
                                     bool programmatic);

// The part of the work of the CTA of `rank` in its cluster.
struct LowLatencyWork {
  int first_tile, tiles, first_stage, stages;

  __host__ __device__ LowLatencyWork(const LowLatencyCut& cut, int cluster, int rank) {
    first_tile = cluster;
    tiles = cut.whole_rounds + (first_tile < cut.more ? 1 : 0);
    first_stage = rank * cut.share;
    const int left = cut.stages - first_stage;
    stages = left < 0 ? 0 : left < cut.share ? left : cut.share;
  }
};

// How the consumers of a cluster share out a tile's outputs: a thread keeps to one of `slots`, a
// power of two of at most kLowLatencyConsumers, and takes every so-manieth token.
struct LowLatencyShare {
  int slot, first_token, token_step;

  __host__ __device__ LowLatencyShare(int slots, unsigned thread, int rank, int split) {
    const int tokens = kLowLatencyConsumers / slots;  // at a time
    slot = static_cast<int>(thread % static_cast<unsigned>(slots));
    first_token = rank * tokens + static_cast<int>(thread / static_cast<unsigned>(slots));
    token_step = split * tokens;
  }
};

// How a copy finds [rows, columns] codes: the box of a tensor map of rank 3 has `box_rows` rows of
// 128 codes for each of `steps` steps. Its coordinates are (0, row, step) where K is a whole number
// of steps; else it has one step, (code, row, 0), and what lies past the end of K is zeros.
TensorMapSpec low_latency_map(const uint8_t* data, int rows, int columns, int64_t stride,
                              int box_rows, int steps);

// The same for two halves of `rows` rows each, one behind the other: rank 4, each step has box_rows
// rows of the first half and then as many of the second. Coordinates (0, row, 0, step), or
// (code, row, 0, 0).
TensorMapSpec low_latency_halves_map(const uint8_t* data, int rows, int columns, int64_t stride,
                                     int box_rows, int steps);

void launch_low_latency(const LowLatencyGemm& gemm, const LowLatencyConfig& config,
                        const Launch& where);

// The same with a scale a token and a scale a weight row, or either as above.
void launch_low_latency_vectors(const LowLatencyGemm& gemm, const LowLatencyConfig& config,
                                const Launch& where);

// The same with scales that also differ by parts of K, of kLowLatencyStep columns each.
void launch_low_latency_blocks(const LowLatencyGemm& gemm, const LowLatencyConfig& config,
                               const Launch& where);

// SwiGLU and quantize behind it. The first half of the weight's rows is the gate, the second is up:
// y = codes of silu(gate) × up / output_scale, each rounded to bfloat16 before. A tile has as many
// rows of either, `config` is a cut of all n of them, and there is one segment less than
// kMaxSegments.
void launch_low_latency_swiglu(const LowLatencyGemm& gemm, const LowLatencyConfig& config,
                               const Launch& where);

}  // namespace octavo::cuda
