// Requests under way: pieces from the engine's thread to whoever waits for them.
// SPDX-License-Identifier: Apache-2.0
#include "api/pending_completion.h"

#include <utility>

namespace octavo {
namespace {

TokenLogprob to_logprob(const SampledToken& token) {
  return {token.token, token.logprob, token.top_logprobs};
}

Completion completion_of(RequestOutput output) {
  Completion completion{.prompt = std::move(output.prompt),
                        .prompt_token_ids = std::move(output.prompt_token_ids),
                        .text = std::move(output.text),
                        .token_ids = std::move(output.token_ids),
                        .finish_reason = std::string(to_string(output.finish_reason)),
                        .error = std::move(output.error)};
  for (const SampledToken& token : output.logprobs)
    completion.logprobs.push_back(to_logprob(token));
  return completion;
}

}  // namespace

void PendingCompletion::State::add(const TokenUpdate& update) {
  std::function<void()> callback;
  {
    const std::lock_guard lock(mutex);
    if (!update.token && update.text.empty()) return;
    piece.text += update.text;
    if (update.token) {
      piece.token_ids.push_back(update.token->token);
      if (wants_logprobs) piece.logprobs.push_back(to_logprob(*update.token));
    }
    has_piece = true;
    callback = on_piece;
  }
  changed.notify_all();
  if (callback) callback();
}

void PendingCompletion::State::end(RequestOutput output, bool streaming) {
  std::function<void()> callback;
  {
    const std::lock_guard lock(mutex);
    result = completion_of(std::move(output));
    if (!streaming) {
      piece = {result->text, result->token_ids, result->logprobs};
      has_piece = true;
    }
    callback = on_piece;
  }
  changed.notify_all();
  if (callback) callback();
}

std::shared_ptr<PendingCompletion::State> attach(Request& request, bool streaming) {
  auto state = std::make_shared<PendingCompletion::State>();
  state->wants_logprobs = request.sampling.logprobs.has_value();
  if (streaming) request.on_token = [state](const TokenUpdate& update) { state->add(update); };
  request.on_finish = [state, streaming](RequestOutput output) {
    state->end(std::move(output), streaming);
  };
  return state;
}

std::optional<CompletionPiece> PendingCompletion::try_next() {
  const std::lock_guard lock(state_->mutex);
  if (!state_->has_piece) return std::nullopt;
  state_->has_piece = false;
  return std::exchange(state_->piece, {});
}

std::optional<CompletionPiece> PendingCompletion::next() {
  {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [&] { return state_->has_news(); });
  }
  return try_next();
}

bool PendingCompletion::wait_for(std::chrono::milliseconds timeout) const {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_for(lock, timeout, [&] { return state_->has_news(); });
}

bool PendingCompletion::wait_end_for(std::chrono::milliseconds timeout) const {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_for(lock, timeout, [&] { return state_->result.has_value(); });
}

bool PendingCompletion::ended() const {
  const std::lock_guard lock(state_->mutex);
  return state_->result.has_value();
}

bool PendingCompletion::has_piece() const {
  const std::lock_guard lock(state_->mutex);
  return state_->has_piece;
}

Completion PendingCompletion::result() const {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [&] { return state_->result.has_value(); });
  return *state_->result;
}

void PendingCompletion::cancel() {
  if (state_->cancel) state_->cancel();
}

void PendingCompletion::on_piece(std::function<void()> callback) {
  bool now = false;
  {
    const std::lock_guard lock(state_->mutex);
    state_->on_piece = callback;
    now = state_->has_news();
  }
  if (now && callback) callback();
}

}  // namespace octavo
