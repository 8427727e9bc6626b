// Translation between the engine's callbacks and load events.
// SPDX-License-Identifier: Apache-2.0
#include "measure/engine_target.h"

#include <fmt/format.h>

#include <utility>

#include "core/error.h"

namespace octavo {

void EngineTarget::submit(int64_t request, std::span<const int32_t> input_ids,
                          int64_t output_tokens) {
  OCTAVO_CHECK(!ids_.contains(request));
  Request submitted{.prompt_token_ids = {input_ids.begin(), input_ids.end()},
                    .sampling = {.max_tokens = output_tokens, .ignore_eos = true}};
  submitted.on_token = [this, request](const TokenUpdate& update) { receive(request, update); };
  submitted.on_finish = [this, request](RequestOutput output) {
    if (output.finish_reason == FinishReason::kError && failure_.empty()) {
      failure_ = fmt::format("request {}: {}", request, output.error);
    }
  };
  ids_[request] = engine_.submit(std::move(submitted));
}

void EngineTarget::receive(int64_t request, const TokenUpdate& update) {
  if (update.token) events_.push_back({.request = request, .tokens = 1});
  if (update.finished) {
    events_.push_back({.request = request, .finished = true});
    ids_.erase(request);
  }
}

bool EngineTarget::step(std::vector<TokenEvent>& events) {
  const bool has_more = engine_.step();
  if (!failure_.empty()) throw Error(ErrorCategory::kDevice, std::exchange(failure_, {}));
  const bool ran = has_more || !events_.empty();
  events.insert(events.end(), events_.begin(), events_.end());
  events_.clear();
  return ran;
}

void EngineTarget::abort(int64_t request) {
  const auto found = ids_.find(request);
  if (found == ids_.end()) return;
  engine_.abort(found->second);
  ids_.erase(request);
  std::erase_if(events_, [request](const TokenEvent& event) { return event.request == request; });
}

}  // namespace octavo
