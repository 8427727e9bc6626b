// The environment variables that Octavo reads; no other file reads any.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace octavo {

// Where a user's tuning records are: OCTAVO_TUNED_DIR, else octavo/tuned in XDG_CACHE_HOME or in
// ~/.cache. Empty where none of these is set.
std::filesystem::path tuned_directory();

// What mpirun, torchrun and their like tell each process they start (comm/rank_environment.h says
// which variables); empty where it is not set.
std::string launcher_variable(const char* name);

// NCCL shall not use NVLink multicast, whatever the user's environment says. Before NCCL is loaded.
void turn_nccl_multicast_off();

}  // namespace octavo
