// Device information: fixture trees of /proc and /sys, control groups, formats.
// SPDX-License-Identifier: Apache-2.0
#include "measure/device_info.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "io/test_support.h"

namespace octavo {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr const char* kAvx512Flags =
    "fpu avx2 fma f16c avx512f avx512bw avx512dq avx512vl avx512_bf16";

class DeviceInfoTest : public testing::Test {
 protected:
  void write_machine(std::string_view flags) {
    const std::string processor =
        "model name\t: Example CPU @ 2.0GHz\nflags\t\t: " + std::string(flags) + "\n\n";
    root.write("proc/cpuinfo", "processor\t: 0\n" + processor + "processor\t: 1\n" + processor +
                                   "processor\t: 2\n" + processor + "processor\t: 3\n" + processor);
    root.write("proc/meminfo", "MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\n");
  }
  CpuInfo read(int64_t affinity_cores = 4) { return read_cpu_info(root.path(), affinity_cores); }
  TemporaryDirectory root;
};

TEST_F(DeviceInfoTest, ReadsTheMachine) {
  write_machine(kAvx512Flags);
  const CpuInfo cpu = read();
  EXPECT_EQ(cpu.model, "Example CPU @ 2.0GHz");
  EXPECT_EQ(cpu.logical_cores, 4);
  EXPECT_EQ(cpu.usable_cores, 4);
  EXPECT_TRUE(cpu.avx2 && cpu.avx512 && cpu.avx512_bf16);
  EXPECT_FALSE(cpu.amx_bf16);
  EXPECT_EQ(cpu.memory_bytes, 16 * kGiB);
  EXPECT_EQ(cpu.memory_limit_bytes, 16 * kGiB);
  EXPECT_EQ(cpu.memory_available_bytes, 8 * kGiB);
  EXPECT_EQ(read(2).usable_cores, 2);
}

TEST_F(DeviceInfoTest, AnInstructionSetNeedsAllItsParts) {
  write_machine("avx2 fma avx512f avx512bw avx512dq avx512vl avx512_bf16 amx_tile amx_bf16");
  const CpuInfo cpu = read();
  EXPECT_FALSE(cpu.avx2 || cpu.avx512 || cpu.avx512_bf16 || cpu.amx_bf16);
  write_machine(std::string(kAvx512Flags) + " amx_tile amx_bf16");
  EXPECT_TRUE(read().amx_bf16);
}

TEST_F(DeviceInfoTest, ControlGroupsVersion2) {
  write_machine(kAvx512Flags);
  root.write("proc/self/cgroup", "0::/outer/inner\n");
  root.write("sys/fs/cgroup/outer/memory.max", "4294967296\n");
  root.write("sys/fs/cgroup/outer/inner/memory.max", "max\n");
  root.write("sys/fs/cgroup/outer/cpu.max", "max 100000\n");
  root.write("sys/fs/cgroup/outer/inner/cpu.max", "150000 100000\n");
  const CpuInfo cpu = read();
  EXPECT_EQ(cpu.memory_limit_bytes, 4 * kGiB);
  EXPECT_EQ(cpu.memory_bytes, 16 * kGiB);
  EXPECT_EQ(cpu.usable_cores, 1.5);
}

TEST_F(DeviceInfoTest, InAContainerTheMountIsTheGroup) {
  write_machine(kAvx512Flags);
  root.write("proc/self/cgroup", "0::/\n");
  root.write("sys/fs/cgroup/memory.max", "1073741824\n");
  EXPECT_EQ(read().memory_limit_bytes, kGiB);
}

TEST_F(DeviceInfoTest, ControlGroupsVersion1) {
  write_machine(kAvx512Flags);
  root.write("proc/self/cgroup", "7:cpu,cpuacct:/job\n5:memory:/job\n");
  root.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  root.write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2147483648\n");
  root.write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "50000\n");
  root.write("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  root.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  root.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  const CpuInfo cpu = read();
  EXPECT_EQ(cpu.memory_limit_bytes, 2 * kGiB);
  EXPECT_EQ(cpu.usable_cores, 0.5);
}

TEST_F(DeviceInfoTest, NothingReadableIsNoError) {
  const CpuInfo cpu = read(3);
  EXPECT_EQ(cpu.model, "");
  EXPECT_EQ(cpu.usable_cores, 3);
  EXPECT_EQ(cpu.memory_limit_bytes, 0u);
  EXPECT_THAT(to_text(cpu), testing::HasSubstr("unknown processor"));
}

TEST_F(DeviceInfoTest, JsonAndText) {
  write_machine(kAvx512Flags);
  const auto json = to_json(read());
  EXPECT_EQ(json["model"], "Example CPU @ 2.0GHz");
  EXPECT_EQ(json["isa"]["avx512_bf16"], true);
  EXPECT_EQ(json["isa"]["amx_bf16"], false);
  EXPECT_EQ(json["memory_limit_bytes"], 16 * kGiB);
  const std::string text = to_text(read(2));
  EXPECT_THAT(text, testing::HasSubstr("cores    2 usable of 4\n"));
  EXPECT_THAT(text, testing::HasSubstr("ISA      scalar, AVX2, AVX-512, AVX512-BF16\n"));
  EXPECT_THAT(text, testing::HasSubstr("memory   16.0 GiB usable of 16.0 GiB, 8.0 GiB available"));
}

TEST(CpuFormats, FollowTheProcessor) {
  const auto support_of = [](const CpuInfo& cpu, std::string_view name) {
    for (const FormatInfo& format : cpu_formats(cpu)) {
      if (format.name == name) return format.support;
    }
    ADD_FAILURE() << name;
    return FormatSupport::kNotSupported;
  };
  EXPECT_EQ(support_of({}, "float32"), FormatSupport::kNative);
  EXPECT_EQ(support_of({}, "bfloat16"), FormatSupport::kEmulated);
  EXPECT_EQ(support_of({.avx512_bf16 = true}, "bfloat16"), FormatSupport::kNative);
  EXPECT_EQ(support_of({.amx_bf16 = true}, "bfloat16"), FormatSupport::kNative);
  EXPECT_EQ(support_of({.amx_bf16 = true}, "fp8"), FormatSupport::kEmulated);
  EXPECT_EQ(support_of({}, "int4_awq"), FormatSupport::kEmulated);
}

TEST(CpuFormats, JsonAndText) {
  const auto json = to_json(cpu_formats({}));
  EXPECT_EQ(json[0]["name"], "float32");
  EXPECT_EQ(json[0]["support"], "native");
  EXPECT_THAT(to_text(cpu_formats({})), testing::HasSubstr("float32      native\n"));
  EXPECT_THAT(to_text(cpu_formats({})),
              testing::HasSubstr("fp8_block    emulated       E4M3 by 128"));
}

TEST(ThisCpuInfo, IsPlausible) {
  const CpuInfo cpu = this_cpu_info();
  EXPECT_GT(cpu.usable_cores, 0);
  EXPECT_GT(cpu.memory_limit_bytes, 0u);
  EXPECT_FALSE(cpu.architecture.empty());
}

TEST(FormatBytes, PicksTheUnit) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(uint64_t{141} << 30), "141.0 GiB");
  EXPECT_EQ(format_bytes(~uint64_t{0}), "16777216.0 TiB");
}

}  // namespace
}  // namespace octavo
