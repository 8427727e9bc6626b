// How processes that are to be ranks of one model find each other.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "comm/connection.h"
#include "comm/rank_environment.h"

namespace octavo {

enum MessageKind : uint32_t {
  kHello = 1,     // of a rank to rank 0: who it is
  kWelcome = 2,   // all have come
  kFailed = 3,    // the group is over, and why
  kGive = 4,      // a rank's part of an exchange
  kAnswer = 5,    // what rank 0 made of all parts
  kWord = 6,      // what rank 0 publishes
  kFinished = 7,  // nothing more is published
  kDone = 8,      // … and this rank has dealt with all of it
  kBeat = 9,      // a rank is alive, and how far
};

// Rank 0 gets a connection to every other rank, at its number; the others one to rank 0, at 0.
// Whoever connects and does not say at once that it is a rank is sent away. Throws Error(kDevice)
// naming the ranks that had not come, or that went, within the limit, on all that had come.
std::vector<Connection> meet(const RankEnvironment& environment, std::chrono::milliseconds limit);

}  // namespace octavo
