// What a PendingCompletion shares with the engine's thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <mutex>

#include "octavo/llm.h"
#include "runtime/request.h"

namespace octavo {

struct PendingCompletion::State {
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  CompletionPiece piece;  // since the last one taken
  bool has_piece = false;
  bool wants_logprobs = false;
  std::optional<Completion> result;
  std::function<void()> on_piece;
  std::function<void()> cancel;

  bool has_news() const { return has_piece || result.has_value(); }
  void add(const TokenUpdate& update);
  void end(RequestOutput output, bool streaming);
};

// A request that reports to a new state.
std::shared_ptr<PendingCompletion::State> attach(Request& request, bool streaming);

}  // namespace octavo
