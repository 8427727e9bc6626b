// Interruptible: a signal ends a job that writes files by unwinding it; nothing half-written stays.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csignal>
#include <memory>

#include "octavo/progress.h"

namespace octavo::app {

// Thrown by Interruptible; main turns it into exit code 128 + signal.
struct Interrupted {
  int signal = 0;
};

// Passes progress on and throws Interrupted after SIGINT, SIGTERM or SIGHUP. A job that reports no
// progress for four seconds after the signal, or gets a second one, dies at once: the next job to
// the same output cleans up after it.
class Interruptible final : public Progress {
 public:
  explicit Interruptible(std::unique_ptr<Progress> progress);
  ~Interruptible() override;
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

  void update(int64_t done, int64_t total, std::string_view message) override;
  void finish() override;

 private:
  std::unique_ptr<Progress> progress_;
};

}  // namespace octavo::app
