// Benchmark of the CUDA kernels: `cuda_bench OUT.json [group …]`.
// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>

#include "core/error.h"
#include "kernels/cuda/groups.h"
#include "kernels/cuda/probe.h"

namespace octavo::bench {

std::byte* Arena::take(size_t size) {
  const size_t aligned = (size + 1023) / 1024 * 1024;
  if (aligned > bytes - used)
    throw Error(ErrorCategory::kOutOfMemory, fmt::format("[bench] arena: {} bytes more", aligned));
  used += aligned;
  return data + used - aligned;
}

namespace {

struct Group {
  const char* name;
  void (*run)(Bench&);
};
constexpr Group kGroups[] = {
    {"probe", bench_probe},
    {"low_latency", bench_low_latency},
    {"low_latency_swiglu", bench_low_latency_swiglu},
    {"chain", bench_chain},
    {"decode_attention", bench_decode_attention},
    {"context_attention", bench_context_attention},
    {"small_ops", bench_small_ops},
    {"decode_step", bench_decode_step},
    {"chain_costs", bench_chain_costs},
    {"chain_norms", bench_chain_norms},
    {"large", bench_large},
    {"integer", bench_integer},
    {"cublaslt", bench_cublaslt},
    {"schemes", bench_schemes},
    {"moe", bench_moe},
    {"sampling", bench_sampling},
};

std::string describe_device() {
  cudaDeviceProp properties = {};
  int driver = 0;
  OCTAVO_CUDA_CHECK(cudaGetDeviceProperties(&properties, 0));
  OCTAVO_CUDA_CHECK(cudaDriverGetVersion(&driver));
  return fmt::format(
      "{{\"name\": \"{}\", \"memory_bytes\": {}, \"multiprocessors\": {}, \"l2_bytes\": {}, "
      "\"driver\": {}, \"runtime\": {}}}",
      properties.name, properties.totalGlobalMem, properties.multiProcessorCount,
      properties.l2CacheSize, driver, CUDART_VERSION);
}

bool wanted(int argc, char** argv, const char* name) {
  if (argc <= 2) return true;
  for (int i = 2; i < argc; ++i) {
    if (std::strcmp(argv[i], name) == 0) return true;
  }
  return false;
}

int run(int argc, char** argv) {
  Bench bench;
  bench.arena.bytes = size_t{24} << 30;
  OCTAVO_CUDA_CHECK(cudaMalloc(reinterpret_cast<void**>(&bench.arena.data), bench.arena.bytes));
  fill_codes(bench.arena.data, bench.arena.bytes, 1);
  OCTAVO_CUDA_CHECK(cudaDeviceSynchronize());
  int failures = 0;
  for (const Group& group : kGroups) {
    if (!wanted(argc, argv, group.name)) continue;
    bench.arena.used = 0;
    try {
      group.run(bench);
    } catch (const std::exception& error) {
      fmt::print("{}: {}\n", group.name, error.what());
      ++failures;
    }
    std::ofstream(argv[1]) << bench.results.json(describe_device());
  }
  return failures == 0 ? 0 : 7;
}

}  // namespace
}  // namespace octavo::bench

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: cuda_bench OUT.json [group ...]\n");
    return 2;
  }
  try {
    return octavo::bench::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 7;
  }
}
