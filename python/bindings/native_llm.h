// What the package calls of LLM: without the interpreter lock, with Ctrl-C and descriptors.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "octavo/llm.h"

namespace octavo::python {

// Wakes an event loop through a file descriptor: the engine's thread takes no interpreter lock.
class Notifier {
 public:
  Notifier();
  ~Notifier();
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  int fileno() const { return descriptor_; }
  void notify();
  void clear();  // before looking at what there is

 private:
  int descriptor_ = -1;
  std::atomic<bool> pending_ = false;
};

// Calls may come from several threads; shutdown() waits for none of them.
class NativeLLM {
 public:
  NativeLLM(const LLMArgs& args, bool show_progress);

  std::vector<PendingCompletion> generate_async(const std::vector<PromptInput>& inputs,
                                                bool streaming);
  void save(const std::string& engine_dir, bool overwrite, bool show_progress);
  void shutdown();

 private:
  std::shared_ptr<LLM> running() const;  // Error(kUsage) after shutdown()

  std::shared_ptr<LLM> llm_;  // touched under the interpreter lock alone
};

// (text, token ids, [(token, logprob, [(token, logprob)])]), or None.
nanobind::object try_next(PendingCompletion& pending);
// (finish reason, error, prompt token ids) of a request that has ended.
nanobind::tuple ending(const PendingCompletion& pending);
void subscribe(PendingCompletion& pending, const std::shared_ptr<Notifier>& notifier);

}  // namespace octavo::python
