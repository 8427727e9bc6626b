// Environment variables.
// SPDX-License-Identifier: Apache-2.0
#include "core/environment.h"

#include <cstdlib>

namespace octavo {
namespace {

// Empty where the variable is unset or empty.
std::filesystem::path path_in(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? std::filesystem::path() : std::filesystem::path(value);
}

}  // namespace

std::filesystem::path tuned_directory() {
  if (std::filesystem::path chosen = path_in("OCTAVO_TUNED_DIR"); !chosen.empty()) return chosen;
  if (const std::filesystem::path cache = path_in("XDG_CACHE_HOME"); !cache.empty())
    return cache / "octavo" / "tuned";
  const std::filesystem::path home = path_in("HOME");
  return home.empty() ? home : home / ".cache" / "octavo" / "tuned";
}

std::string launcher_variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void turn_nccl_multicast_off() { setenv("NCCL_NVLS_ENABLE", "0", /*overwrite=*/1); }

}  // namespace octavo
