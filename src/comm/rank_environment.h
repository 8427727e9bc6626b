// RankEnvironment: which of several processes this one is, as whoever started it says.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace octavo {

struct RankEnvironment {
  int64_t rank = 0;
  int64_t size = 1;
  int64_t local_rank = 0;  // among the processes of this host
  std::string host;        // where rank 0 listens, and at which port
  int port = 0;

  std::string rank_variable;  // what the first two were read from, for messages
  std::string size_variable;
};

// The most processes that share a model.
inline constexpr int64_t kMaxProcesses = 1024;

// Reads, in this order, RANK, WORLD_SIZE, LOCAL_RANK (torchrun); OMPI_COMM_WORLD_RANK, _SIZE,
// _LOCAL_RANK (Open MPI); PMI_RANK, PMI_SIZE, MPI_LOCALRANKID (MPICH, Intel MPI): the first family
// of which rank or size is set counts. MASTER_ADDR and MASTER_PORT say where rank 0 is; unset, it
// is this host, where all processes are known to be, and port 29500. Nothing where no family is
// set. Throws Error(kEnvironment) naming the variable, what was expected and what it holds.
using VariableReader = std::function<std::string(const char* name)>;
std::optional<RankEnvironment> rank_environment(const VariableReader& read);
std::optional<RankEnvironment> rank_environment();  // of this process

}  // namespace octavo
