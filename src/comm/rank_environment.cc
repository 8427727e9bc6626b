// Reading of what launchers say.
// SPDX-License-Identifier: Apache-2.0
#include "comm/rank_environment.h"

#include <charconv>

#include "core/environment.h"
#include "core/error.h"

namespace octavo {
namespace {

struct Family {
  const char *rank, *size, *local_rank, *local_size;
};
constexpr Family kFamilies[] = {
    {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
};
constexpr int kDefaultPort = 29500;

[[noreturn]] void refuse(const char* name, const std::string& expected, const std::string& got) {
  throw Error(ErrorCategory::kEnvironment,
              fmt::format("{}: expected {}, got {}", name, expected,
                          got.empty() ? "nothing" : fmt::format("\"{}\"", printable(got))));
}

// Digits alone: no sign, no blank, nothing behind them.
int64_t number(const VariableReader& read, const char* name, int64_t least, int64_t most) {
  const std::string text = read(name);
  int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || text.front() == '-' || error != std::errc() || stop != end || value < least ||
      value > most)
    refuse(name, fmt::format("a number from {} to {}", least, most), text);
  return value;
}

const Family* family_of(const VariableReader& read) {
  for (const Family& family : kFamilies) {
    if (!read(family.rank).empty() || !read(family.size).empty()) return &family;
  }
  return nullptr;
}

// The agent of torchrun may keep MASTER_PORT for a store of its own: the next port is then free for
// what it starts.
int port_of(const VariableReader& read) {
  if (read("MASTER_PORT").empty()) return kDefaultPort;
  const bool taken = read("TORCHELASTIC_USE_AGENT_STORE") == "True";
  const int64_t most = taken ? 65534 : 65535;
  return static_cast<int>(number(read, "MASTER_PORT", 1, most)) + (taken ? 1 : 0);
}

std::string host_of(const VariableReader& read, const Family& family, int64_t size) {
  std::string host = read("MASTER_ADDR");
  constexpr size_t kLongestName = 253;
  const std::string allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_%";
  if (host.size() > kLongestName || host.find_first_not_of(allowed) != std::string::npos)
    refuse("MASTER_ADDR", "a host name or an address", host);
  if (!host.empty()) return host;
  const bool one_host = size == 1 || (!read(family.local_size).empty() &&
                                      number(read, family.local_size, 1, size) == size);
  if (!one_host) refuse("MASTER_ADDR", "the host of rank 0", "");
  return "127.0.0.1";
}

}  // namespace

std::optional<RankEnvironment> rank_environment(const VariableReader& read) {
  const Family* const family = family_of(read);
  if (family == nullptr) return std::nullopt;
  RankEnvironment environment{.rank_variable = family->rank, .size_variable = family->size};
  environment.size = number(read, family->size, 1, kMaxProcesses);
  environment.rank = number(read, family->rank, 0, environment.size - 1);
  if (environment.size == 1) return environment;  // alone: nobody to be found
  environment.local_rank = number(read, family->local_rank, 0, environment.size - 1);
  environment.host = host_of(read, *family, environment.size);
  environment.port = port_of(read);
  return environment;
}

std::optional<RankEnvironment> rank_environment() { return rank_environment(launcher_variable); }

}  // namespace octavo
