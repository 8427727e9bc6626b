// Whether the ranks of a model are processes, and which of them this one is.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "comm/comm.h"
#include "comm/process_group.h"

namespace octavo {

// The other processes of a model of tp_size × pp_size ranks, all of which have come; null where its
// ranks are of this process. `communicator` is that of ModelOptions, `device` a resolved one.
// Throws Error(kUnsupported) where processes cannot share this model, Error(kUsage) for other
// names, Error(kEnvironment) where what the launcher says does not fit.
std::shared_ptr<ProcessGroup> open_processes(const std::string& communicator,
                                             const std::string& device, int64_t tp_size,
                                             int64_t pp_size);

// Which rank of the engine this process runs. The first process is the first rank of the last
// stage: there tokens are sampled, and it is the one that schedules them. Stages go on backwards.
RankPlace place_of(const ProcessGroup& processes, int64_t tp_size, int64_t pp_size);
RankPlace place_of(int64_t process, int64_t tp_size, int64_t pp_size);

// The GPU of this process: the one of its number on this host, or the only one that it sees.
int local_gpu();

// Lines of `octavo doctor`.
std::string processes_text();

}  // namespace octavo
