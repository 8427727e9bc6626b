// Device helpers of the benchmarks: what memory can deliver at best, and random contents.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace octavo::bench {

// A kernel that only reads `bytes` with 16-byte loads: `ctas` blocks of 512 threads, 4 or 8 loads
// of a thread in flight.
void launch_stream_probe(const void* data, size_t bytes, int ctas, bool deep, bool programmatic,
                         void* sink, cudaStream_t stream);

// Random E4M3 codes of realistic spread, no NaN.
void fill_codes(void* data, size_t bytes, uint32_t seed);
// Random bfloat16 values, uniform in (-limit, limit).
void fill_bf16(void* data, size_t elements, float limit, uint32_t seed);

}  // namespace octavo::bench
