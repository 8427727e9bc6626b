// LLM: model, runner and engine behind one class.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/llm.h"

#include <algorithm>

#include "api/engine_loop.h"
#include "api/llm_args.h"
#include "api/pending_completion.h"
#include "api/save_engine.h"
#include "api/session.h"
#include "api/work_directory.h"

namespace octavo {
namespace {

// The checkpoint that `args` are run from: quantized into `work` where they ask for it.
ModelOptions ready_model(const LLMArgs& args, std::unique_ptr<WorkDirectory>& work,
                         Progress& progress) {
  ModelOptions options = model_options(args);
  std::optional<QuantizeOptions> quantization = quantize_options(args);
  if (!quantization) return options;
  work = std::make_unique<WorkDirectory>(args.workspace);
  options.model_dir = quantization->output_dir = work->path() / "quantized";
  quantize(*quantization, progress);
  return options;
}

std::vector<PromptInput> inputs_of(const std::vector<std::string>& prompts,
                                   const SamplingParams& sampling) {
  std::vector<PromptInput> inputs;
  for (const std::string& prompt : prompts)
    inputs.push_back({.prompt = prompt, .sampling = sampling});
  return inputs;
}

}  // namespace

struct LLM::State {
  std::unique_ptr<WorkDirectory> work;  // outlives the session, whose weights may be mapped from it
  ModelOptions model;
  Session session;
  std::shared_ptr<EngineLoop> loop = std::make_shared<EngineLoop>(session.engine());

  ~State() { loop->stop(); }

  Request request_of(const PromptInput& input) const {
    if (input.prompt_token_ids.empty()) session.model().required_tokenizer();
    return {.prompt = input.prompt,
            .prompt_token_ids = input.prompt_token_ids,
            .sampling = input.sampling};
  }

  std::vector<PendingCompletion> start(std::vector<Request> requests, bool streaming) {
    std::vector<std::shared_ptr<PendingCompletion::State>> states;
    for (Request& request : requests) states.push_back(attach(request, streaming));
    return start(std::move(requests), std::move(states));
  }

  std::vector<PendingCompletion> start(
      std::vector<Request> requests,
      std::vector<std::shared_ptr<PendingCompletion::State>> states) {
    if (session.runner().follows())
      throw Error(ErrorCategory::kUsage, "this process follows the first one: call follow()");
    const std::vector<RequestId> ids = loop->submit(std::move(requests));
    std::vector<PendingCompletion> pending;
    for (size_t i = 0; i < ids.size(); ++i) {
      states[i]->cancel = [weak = std::weak_ptr(loop), id = ids[i]] {
        if (const std::shared_ptr<EngineLoop> alive = weak.lock()) alive->abort(id);
      };
      pending.emplace_back(std::move(states[i]));
    }
    return pending;
  }

  std::vector<Completion> run(std::vector<Request> requests, const StreamCallback& on_text) {
    std::vector<std::shared_ptr<PendingCompletion::State>> states;
    for (size_t i = 0; i < requests.size(); ++i) {
      states.push_back(attach(requests[i], /*streaming=*/false));
      if (!on_text) continue;
      requests[i].on_token = [&on_text, i](const TokenUpdate& update) {
        if (!update.text.empty()) on_text(i, update.text);
      };
    }
    std::vector<Completion> completions;
    for (const PendingCompletion& pending : start(std::move(requests), std::move(states)))
      completions.push_back(pending.result());
    // Requests end before the step that failed returns to whoever notes why.
    const auto failed = [](const Completion& completion) { return !completion.error.empty(); };
    if (std::ranges::any_of(completions, failed)) loop->submit({});
    loop->rethrow_failure();
    return completions;
  }
};

LLM::LLM(const LLMArgs& args, Progress& progress) {
  const RuntimeOptions runtime = runtime_options(args);
  std::unique_ptr<WorkDirectory> work;
  const ModelOptions model = ready_model(args, work, progress);
  state_.reset(new State{std::move(work), model, Session(model, runtime, progress)});
}

LLM::LLM(const ModelOptions& model, const RuntimeOptions& runtime, Progress& progress)
    : state_(new State{nullptr, model, Session(model, runtime, progress)}) {}
LLM::~LLM() = default;
LLM::LLM(LLM&&) noexcept = default;
LLM& LLM::operator=(LLM&&) noexcept = default;

std::vector<Completion> LLM::generate(const std::vector<std::string>& prompts,
                                      const SamplingParams& sampling,
                                      const StreamCallback& on_text) {
  return generate(inputs_of(prompts, sampling), on_text);
}

std::vector<Completion> LLM::generate(const std::vector<std::vector<int32_t>>& prompts,
                                      const SamplingParams& sampling,
                                      const StreamCallback& on_text) {
  std::vector<Request> requests;
  for (const std::vector<int32_t>& ids : prompts)
    requests.push_back({.prompt_token_ids = ids, .sampling = sampling});
  return state_->run(std::move(requests), on_text);
}

std::vector<Completion> LLM::generate(const std::vector<PromptInput>& inputs,
                                      const StreamCallback& on_text) {
  std::vector<Request> requests;
  for (const PromptInput& input : inputs) requests.push_back(state_->request_of(input));
  return state_->run(std::move(requests), on_text);
}

std::vector<PendingCompletion> LLM::generate_async(const std::vector<PromptInput>& inputs,
                                                   bool streaming) {
  std::vector<Request> requests;
  for (const PromptInput& input : inputs) requests.push_back(state_->request_of(input));
  return state_->start(std::move(requests), streaming);
}

PendingCompletion LLM::generate_async(const PromptInput& input, bool streaming) {
  return generate_async(std::vector{input}, streaming).front();
}

bool LLM::follows() const { return state_->session.runner().follows(); }

void LLM::follow() {
  if (!follows())
    throw Error(ErrorCategory::kUsage, "this process follows no other one: call generate()");
  state_->session.runner().follow();
}

void LLM::save(const std::filesystem::path& engine_dir, Progress& progress, bool overwrite) {
  if (state_->session.model().processes != nullptr)
    throw Error(ErrorCategory::kUnsupported, "save(): an engine is written by one process alone");
  save_engine(state_->model, engine_dir, overwrite, progress);
}

}  // namespace octavo
