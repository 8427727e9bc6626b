// LLM: model, runner and engine behind one class.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/llm.h"

#include <algorithm>

#include "api/session.h"

namespace octavo {
namespace {

Completion completion_of(RequestOutput output, std::string prompt) {
  Completion completion{.prompt = std::move(prompt),
                        .prompt_token_ids = std::move(output.prompt_token_ids),
                        .text = std::move(output.text),
                        .token_ids = std::move(output.token_ids),
                        .finish_reason = std::string(to_string(output.finish_reason)),
                        .error = std::move(output.error)};
  for (SampledToken& token : output.logprobs) {
    completion.logprobs.push_back({token.token, token.logprob, std::move(token.top_logprobs)});
  }
  return completion;
}

}  // namespace

struct LLM::State {
  Session session;

  std::vector<Completion> run(std::vector<Request> requests, const StreamCallback& on_text) {
    std::vector<Completion> completions(requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      if (on_text) {
        requests[i].on_token = [&on_text, i](const TokenUpdate& update) {
          if (!update.text.empty()) on_text(i, update.text);
        };
      }
      requests[i].on_finish = [&completions, i, prompt = requests[i].prompt](RequestOutput output) {
        completions[i] = completion_of(std::move(output), prompt);
      };
    }
    submit_all(std::move(requests));
    session.engine().run_until_idle();
    return completions;
  }

  // All or none: where one is refused, those before it leave the engine again, and their callbacks
  // with them.
  void submit_all(std::vector<Request> requests) {
    std::vector<RequestId> submitted;
    try {
      for (Request& request : requests)
        submitted.push_back(session.engine().submit(std::move(request)));
    } catch (...) {
      for (const RequestId id : submitted) session.engine().abort(id);
      session.engine().run_until_idle();
      throw;
    }
  }
};

LLM::LLM(const ModelOptions& model, const RuntimeOptions& runtime, Progress& progress)
    : state_(std::make_unique<State>(State{Session(model, runtime, progress)})) {}
LLM::~LLM() = default;
LLM::LLM(LLM&&) noexcept = default;
LLM& LLM::operator=(LLM&&) noexcept = default;

std::vector<Completion> LLM::generate(const std::vector<std::string>& prompts,
                                      const SamplingParams& sampling,
                                      const StreamCallback& on_text) {
  state_->session.model().required_tokenizer();
  std::vector<Request> requests;
  for (const std::string& prompt : prompts)
    requests.push_back({.prompt = prompt, .sampling = sampling});
  return state_->run(std::move(requests), on_text);
}

std::vector<Completion> LLM::generate(const std::vector<std::vector<int32_t>>& prompts,
                                      const SamplingParams& sampling,
                                      const StreamCallback& on_text) {
  std::vector<Request> requests;
  for (const std::vector<int32_t>& ids : prompts)
    requests.push_back({.prompt_token_ids = ids, .sampling = sampling});
  return state_->run(std::move(requests), on_text);
}

}  // namespace octavo
