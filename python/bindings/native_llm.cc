// The calls behind the Python package.
// SPDX-License-Identifier: Apache-2.0
#include "native_llm.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>

#include "octavo/error.h"

namespace nb = nanobind;

namespace octavo::python {
namespace {

// Passes progress on and throws what a signal's handler raised: KeyboardInterrupt.
class SignalProgress final : public Progress {
 public:
  explicit SignalProgress(bool show)
      : inner_(show ? stderr_progress() : std::make_unique<SilentProgress>()) {}

  void update(int64_t done, int64_t total, std::string_view message) override {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ >= std::chrono::milliseconds(50)) {
      last_ = now;
      const nb::gil_scoped_acquire lock;
      if (PyErr_CheckSignals() != 0) throw nb::python_error();
    }
    inner_->update(done, total, message);
  }
  void finish() override { inner_->finish(); }

 private:
  std::unique_ptr<Progress> inner_;
  std::chrono::steady_clock::time_point last_;
};

// Bytes of a model's tokens need not be UTF-8.
nb::object text_of(const std::string& text) {
  return nb::steal(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
}

nb::list ids_of(const std::vector<int32_t>& ids) {
  nb::list list;
  for (const int32_t id : ids) list.append(id);
  return list;
}

nb::list logprobs_of(const std::vector<TokenLogprob>& logprobs) {
  nb::list list;
  for (const TokenLogprob& each : logprobs) {
    nb::list top;
    for (const auto& [token, logprob] : each.top) top.append(nb::make_tuple(token, logprob));
    list.append(nb::make_tuple(each.token, each.logprob, top));
  }
  return list;
}

}  // namespace

Notifier::Notifier() : descriptor_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (descriptor_ < 0) {
    throw Error(ErrorCategory::kEnvironment, "eventfd: " + std::generic_category().message(errno));
  }
}

Notifier::~Notifier() { ::close(descriptor_); }

void Notifier::notify() {
  if (pending_.exchange(true)) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(descriptor_, &one, sizeof one);
}

void Notifier::clear() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(descriptor_, &count, sizeof count);
  pending_.store(false);
}

NativeLLM::NativeLLM(const LLMArgs& args, bool show_progress) {
  std::shared_ptr<LLM> made;
  {
    const nb::gil_scoped_release released;
    SignalProgress progress(show_progress);
    made = std::make_shared<LLM>(args, progress);
  }
  llm_ = std::move(made);
}

std::shared_ptr<LLM> NativeLLM::running() const {
  if (!llm_) throw Error(ErrorCategory::kUsage, "the LLM is shut down");
  return llm_;
}

std::vector<PendingCompletion> NativeLLM::generate_async(const std::vector<PromptInput>& inputs,
                                                         bool streaming) {
  std::shared_ptr<LLM> llm = running();
  const nb::gil_scoped_release released;
  std::vector<PendingCompletion> pending = llm->generate_async(inputs, streaming);
  llm.reset();  // perhaps the last one: without the lock
  return pending;
}

void NativeLLM::save(const std::string& engine_dir, bool overwrite, bool show_progress) {
  std::shared_ptr<LLM> llm = running();
  const nb::gil_scoped_release released;
  SignalProgress progress(show_progress);
  llm->save(engine_dir, progress, overwrite);
  llm.reset();
}

void NativeLLM::shutdown() {
  std::shared_ptr<LLM> llm = std::move(llm_);
  llm_.reset();
  const nb::gil_scoped_release released;
  llm.reset();
}

nb::object try_next(PendingCompletion& pending) {
  const std::optional<CompletionPiece> piece = pending.try_next();
  if (!piece) return nb::none();
  return nb::make_tuple(text_of(piece->text), ids_of(piece->token_ids),
                        logprobs_of(piece->logprobs));
}

nb::tuple ending(const PendingCompletion& pending) {
  const Completion result = pending.result();
  return nb::make_tuple(text_of(result.finish_reason), text_of(result.error),
                        ids_of(result.prompt_token_ids));
}

void subscribe(PendingCompletion& pending, const std::shared_ptr<Notifier>& notifier) {
  pending.on_piece([notifier] { notifier->notify(); });
}

}  // namespace octavo::python
