// Reading of /proc and /sys, and the table of formats.
// SPDX-License-Identifier: Apache-2.0
#include "measure/device_info.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <thread>

#include "core/error.h"

namespace octavo {
namespace {

namespace fs = std::filesystem;

// Pseudo-files have no size, so they are read as streams; 1 MiB bounds what a machine of a thousand
// cores needs of /proc/cpuinfo, of which the first processor is enough.
std::string read_small(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::string text(size_t{1} << 20, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::max<std::streamsize>(0, stream.gcount())));
  return text;
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1);
}

std::optional<uint64_t> parse_number(std::string_view text) {
  text = trimmed(text);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

// The value of the first line "name : value" or "name: value".
std::string field_of(std::string_view text, std::string_view name) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos && trimmed(line.substr(0, colon)) == name) {
      return std::string(trimmed(line.substr(colon + 1)));
    }
    at = end + 1;
  }
  return "";
}

int64_t count_processors(std::string_view cpuinfo) {
  int64_t count = 0;
  std::istringstream lines{std::string(cpuinfo)};
  for (std::string line; std::getline(lines, line);) count += line.starts_with("processor") ? 1 : 0;
  return count;
}

std::set<std::string> words_of(const std::string& text) {
  std::istringstream words(text);
  std::set<std::string> result;
  for (std::string word; words >> word;) result.insert(word);
  return result;
}

uint64_t meminfo_bytes(const std::string& meminfo, std::string_view name) {
  return parse_number(field_of(meminfo, name)).value_or(0) * 1024;
}

// The directories of this process's control group and of the groups around it, below `mount`.
std::vector<fs::path> group_directories(const fs::path& root, std::string_view controller,
                                        const fs::path& mount) {
  std::vector<fs::path> directories;
  std::istringstream lines(read_small(root / "proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    // "0::/path" in version 2, "5:memory,other:/path" in version 1.
    const size_t first = line.find(':');
    const size_t second = line.find(':', first == std::string::npos ? first : first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool wanted =
        controller.empty() ? controllers == ",,"
                           : controllers.find(fmt::format(",{},", controller)) != std::string::npos;
    if (!wanted) continue;
    fs::path group = fs::path(line.substr(second + 1)).relative_path();
    for (; !group.empty(); group = group.parent_path()) directories.push_back(mount / group);
  }
  // Inside a container the group's own directory is the mount.
  directories.push_back(mount);
  return directories;
}

uint64_t group_memory_limit(const fs::path& root) {
  uint64_t limit = ~uint64_t{0};
  const auto take = [&](const fs::path& file) {
    if (const auto bytes = parse_number(read_small(file))) limit = std::min(limit, *bytes);
  };
  for (const fs::path& group : group_directories(root, "", root / "sys/fs/cgroup")) {
    take(group / "memory.max");
  }
  for (const fs::path& group : group_directories(root, "memory", root / "sys/fs/cgroup/memory")) {
    take(group / "memory.limit_in_bytes");
  }
  return limit;
}

double group_core_limit(const fs::path& root) {
  double limit = 1e9;
  const auto take = [&](std::optional<uint64_t> quota, std::optional<uint64_t> period) {
    if (quota && period && *quota > 0 && *period > 0) {
      limit = std::min(limit, static_cast<double>(*quota) / static_cast<double>(*period));
    }
  };
  for (const fs::path& group : group_directories(root, "", root / "sys/fs/cgroup")) {
    const std::string text = read_small(group / "cpu.max");  // "max 100000" or "150000 100000"
    const size_t space = text.find(' ');
    if (space != std::string::npos) {
      take(parse_number(text.substr(0, space)), parse_number(text.substr(space)));
    }
  }
  for (const fs::path& group : group_directories(root, "cpu", root / "sys/fs/cgroup/cpu")) {
    take(parse_number(read_small(group / "cpu.cfs_quota_us")),
         parse_number(read_small(group / "cpu.cfs_period_us")));
  }
  return limit;
}

}  // namespace

CpuInfo read_cpu_info(const fs::path& root, int64_t affinity_cores) {
  CpuInfo cpu;
  const std::string cpuinfo = read_small(root / "proc/cpuinfo");
  cpu.model = printable(field_of(cpuinfo, "model name"));
  cpu.logical_cores = count_processors(cpuinfo);
  const std::set<std::string> flags = words_of(field_of(cpuinfo, "flags"));
  const auto has_all = [&](std::initializer_list<const char*> names) {
    return std::all_of(names.begin(), names.end(),
                       [&](const char* name) { return flags.contains(name); });
  };
  cpu.avx2 = has_all({"avx2", "fma", "f16c"});
  cpu.avx512 = cpu.avx2 && has_all({"avx512f", "avx512bw", "avx512dq", "avx512vl"});
  cpu.avx512_bf16 = cpu.avx512 && has_all({"avx512_bf16"});
  cpu.amx_bf16 = cpu.avx512 && has_all({"amx_tile", "amx_bf16"});
  cpu.usable_cores = std::min(static_cast<double>(affinity_cores), group_core_limit(root));
  const std::string meminfo = read_small(root / "proc/meminfo");
  cpu.memory_bytes = meminfo_bytes(meminfo, "MemTotal");
  cpu.memory_available_bytes = meminfo_bytes(meminfo, "MemAvailable");
  cpu.memory_limit_bytes = cpu.memory_bytes;
  const uint64_t group_limit = group_memory_limit(root);
  if (cpu.memory_bytes > 0) cpu.memory_limit_bytes = std::min(cpu.memory_bytes, group_limit);
  return cpu;
}

CpuInfo this_cpu_info() {
  cpu_set_t set;
  const bool known = sched_getaffinity(0, sizeof(set), &set) == 0;
  CpuInfo cpu = read_cpu_info("/", known ? CPU_COUNT(&set) : std::thread::hardware_concurrency());
  utsname name{};
  if (uname(&name) == 0) cpu.architecture = name.machine;
  return cpu;
}

std::string_view to_string(FormatSupport support) {
  switch (support) {
    case FormatSupport::kNative:
      return "native";
    case FormatSupport::kEmulated:
      return "emulated";
    case FormatSupport::kNotSupported:
      return "not supported";
  }
  return "not supported";
}

std::vector<FormatInfo> cpu_formats(const CpuInfo& cpu) {
  const bool native_bf16 = cpu.avx512_bf16 || cpu.amx_bf16;
  const FormatSupport emulated = FormatSupport::kEmulated;
  return {
      {"float32", FormatSupport::kNative, ""},
      {"bfloat16", native_bf16 ? FormatSupport::kNative : emulated,
       native_bf16 ? "" : "widened to float32, which is exact"},
      {"float16", emulated, "checkpoints only; runs as bfloat16"},
      {"fp8", emulated, "per-tensor E4M3, decoded in registers, which is exact"},
      {"fp8 KV cache", emulated, "E4M3, decoded when read"},
      {"fp8_pc_pt", emulated, "E4M3 by channel and by token, decoded in registers"},
      {"fp8_block", emulated, "E4M3 by 128×128 and 1×128, decoded in registers"},
      {"int8_wo", emulated, "8-bit integers, decoded to bfloat16, which is exact"},
      {"int4_awq", emulated, "4-bit integers, decoded to bfloat16, which is exact"},
  };
}

nlohmann::ordered_json to_json(const CpuInfo& cpu) {
  return {{"type", "cpu"},
          {"model", cpu.model},
          {"architecture", cpu.architecture},
          {"logical_cores", cpu.logical_cores},
          {"usable_cores", cpu.usable_cores},
          {"isa",
           {{"scalar", true},
            {"avx2", cpu.avx2},
            {"avx512", cpu.avx512},
            {"avx512_bf16", cpu.avx512_bf16},
            {"amx_bf16", cpu.amx_bf16}}},
          {"memory_bytes", cpu.memory_bytes},
          {"memory_limit_bytes", cpu.memory_limit_bytes},
          {"memory_available_bytes", cpu.memory_available_bytes}};
}

nlohmann::ordered_json to_json(const std::vector<FormatInfo>& formats) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const FormatInfo& format : formats) {
    list.push_back(
        {{"name", format.name}, {"support", to_string(format.support)}, {"note", format.note}});
  }
  return list;
}

std::string to_text(const CpuInfo& cpu) {
  std::string isa = "scalar";
  for (const auto& [present, name] :
       {std::pair{cpu.avx2, "AVX2"}, std::pair{cpu.avx512, "AVX-512"},
        std::pair{cpu.avx512_bf16, "AVX512-BF16"}, std::pair{cpu.amx_bf16, "AMX-BF16"}}) {
    if (present) isa += fmt::format(", {}", name);
  }
  const std::string_view model =
      cpu.model.empty() ? "unknown processor" : std::string_view(cpu.model);
  std::string text = fmt::format("CPU      {} ({})\n", model, cpu.architecture);
  text += fmt::format("cores    {:g} usable of {}\n", cpu.usable_cores, cpu.logical_cores);
  text += fmt::format("ISA      {}\n", isa);
  text += fmt::format("memory   {} usable of {}, {} available now\n",
                      format_bytes(cpu.memory_limit_bytes), format_bytes(cpu.memory_bytes),
                      format_bytes(cpu.memory_available_bytes));
  return text;
}

std::string to_text(const std::vector<FormatInfo>& formats) {
  std::string text;
  for (const FormatInfo& format : formats) {
    const std::string_view support = to_string(format.support);
    text += format.note.empty()
                ? fmt::format("{:<13}{}\n", format.name, support)
                : fmt::format("{:<13}{:<15}{}\n", format.name, support, format.note);
  }
  return text;
}

std::string format_bytes(uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace octavo
