// What this machine is: processor, instruction sets, memory, and which formats it runs how.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace octavo {

enum class FormatSupport {
  kNative,       // the processor computes in it
  kEmulated,     // exact results, by conversion to fp32
  kNotSupported  // no kernel reads it
};
std::string_view to_string(FormatSupport support);

struct FormatInfo {
  std::string name;
  FormatSupport support = FormatSupport::kNotSupported;
  std::string note;
};

struct CpuInfo {
  std::string model;
  std::string architecture;
  int64_t logical_cores = 0;  // of the machine
  double usable_cores = 0;    // of this process: affinity, and the quota of its control group
  bool avx2 = false;          // with FMA and F16C
  bool avx512 = false;        // F, BW, DQ and VL
  bool avx512_bf16 = false;
  bool amx_bf16 = false;
  uint64_t memory_bytes = 0;        // of the machine
  uint64_t memory_limit_bytes = 0;  // least of the machine's and its control groups'; 0: unknown
  uint64_t memory_available_bytes = 0;  // of the machine, now
};

// Reads /proc and /sys below `root`; what cannot be read stays empty. `affinity_cores` is the
// number of cores that the scheduler allows.
CpuInfo read_cpu_info(const std::filesystem::path& root, int64_t affinity_cores);
// Of this process.
CpuInfo this_cpu_info();

// How the CPU backend runs each format on this processor.
std::vector<FormatInfo> cpu_formats(const CpuInfo& cpu);

nlohmann::ordered_json to_json(const CpuInfo& cpu);
nlohmann::ordered_json to_json(const std::vector<FormatInfo>& formats);
// For people: a few aligned lines.
std::string to_text(const CpuInfo& cpu);
std::string to_text(const std::vector<FormatInfo>& formats);

// "3.9 GiB", "512 B".
std::string format_bytes(uint64_t bytes);

}  // namespace octavo
