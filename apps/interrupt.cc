// Signal handlers of jobs that write files.
// SPDX-License-Identifier: Apache-2.0
#include "interrupt.h"

#include <unistd.h>

#include <array>

namespace octavo::app {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};
constexpr unsigned kPatienceSeconds = 4;

// A handler can reach nothing else.
volatile std::sig_atomic_t received = 0;

void die_of_received(int) {
  std::signal(received, SIG_DFL);
  raise(received);
}

void note(int number) {
  received = number;
  for (const int each : kSignals) std::signal(each, SIG_DFL);
  std::signal(SIGALRM, die_of_received);
  alarm(kPatienceSeconds);
}

}  // namespace

Interruptible::Interruptible(std::unique_ptr<Progress> progress) : progress_(std::move(progress)) {
  for (const int number : kSignals) {
    // What the caller ignores (nohup) stays ignored.
    if (std::signal(number, note) == SIG_IGN) std::signal(number, SIG_IGN);
  }
}

Interruptible::~Interruptible() {
  for (const int number : kSignals) {
    if (std::signal(number, SIG_DFL) == SIG_IGN) std::signal(number, SIG_IGN);
  }
}

void Interruptible::update(int64_t done, int64_t total, std::string_view message) {
  if (received != 0) throw Interrupted{received};
  progress_->update(done, total, message);
}

void Interruptible::finish() { progress_->finish(); }

}  // namespace octavo::app
