// One measured run of requests over a session: what bench and tune share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/session.h"
#include "measure/load.h"
#include "octavo/bench.h"

namespace octavo {

// Throws Error(kUsage) for counts that cannot be meant.
void check(const BenchOptions& options);

LoadOptions load_options(const BenchOptions& options, int64_t max_batch_size);

Dataset load_dataset(const BenchOptions& options, const LoadedModel& model);

// Warms the session up and runs the requests.
LoadResult run_requests(const BenchOptions& options, const LoadOptions& load, Session& session,
                        const Dataset& dataset, Progress& progress);

}  // namespace octavo
