// The groups of the CUDA kernel benchmark.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kernels/cuda/timing.h"

namespace octavo::bench {

// Device memory that a group may use as it likes.
struct Arena {
  std::byte* data = nullptr;
  size_t bytes = 0;
  size_t used = 0;

  // Aligned to 1 KiB; throws Error(kOutOfMemory) where nothing is left.
  std::byte* take(size_t size);
};

struct Bench {
  Stream stream;
  Results results;
  Arena arena;
};

void bench_probe(Bench& bench);               // streaming reads of the weights' sizes
void bench_low_latency(Bench& bench);         // every configuration, M = 1 … 32
void bench_low_latency_swiglu(Bench& bench);  // gate and up fused, and not
void bench_large(Bench& bench);     // many tokens, beside cuBLASLt, with and without SwiGLU
void bench_integer(Bench& bench);   // integer codes, beside bfloat16 weights
void bench_cublaslt(Bench& bench);  // every algorithm offered
void bench_schemes(Bench& bench);   // the FP8 schemes beside each other, inputs included
void bench_chain(Bench& bench);     // the four products of a layer in a row
void bench_decode_attention(Bench& bench);
void bench_context_attention(Bench& bench);
void bench_small_ops(Bench& bench);    // norms, SwiGLU, RoPE
void bench_decode_step(Bench& bench);  // all layers of an 8B model at batch 1
void bench_chain_costs(Bench& bench);  // the same with variants of the hand-over between kernels
void bench_chain_norms(Bench& bench);  // the same with norms inside the linears behind them
void bench_moe(Bench& bench);          // experts' linears beside cuBLASLt, and a mixture
void bench_sampling(Bench& bench);     // sampling, dummy weights, observers

}  // namespace octavo::bench
