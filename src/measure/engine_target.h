// The runtime's engine as a load target.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "measure/load.h"
#include "runtime/engine.h"

namespace octavo {

// Greedy, ignoring EOS, without text. One run at a time: request numbers may come again only when
// their predecessors have finished. The engine must not be used by others meanwhile and outlives
// the target.
class EngineTarget : public LoadTarget {
 public:
  explicit EngineTarget(Engine& engine) : engine_(engine) {}

  void submit(int64_t request, std::span<const int32_t> input_ids, int64_t output_tokens) override;
  bool step(std::vector<TokenEvent>& events) override;
  void abort(int64_t request) override;

 private:
  void receive(int64_t request, const TokenUpdate& update);

  Engine& engine_;
  std::map<int64_t, RequestId> ids_;  // in flight
  std::vector<TokenEvent> events_;
  std::string failure_;  // of the first request that failed
};

}  // namespace octavo
