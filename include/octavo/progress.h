// Progress of long work: what a caller hears while it waits.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

namespace octavo {

class Progress {
 public:
  virtual ~Progress() = default;
  // `total` 0 means unknown. Called as often as the work likes; printing is rationed.
  virtual void update(int64_t done, int64_t total, std::string_view message) = 0;
  // Ends the current bar; the next update starts another.
  virtual void finish() = 0;
};

// For callers that do not want to hear.
class SilentProgress : public Progress {
 public:
  void update(int64_t, int64_t, std::string_view) override {}
  void finish() override {}
};

// On the process's stderr, as wide as its terminal.
std::unique_ptr<Progress> stderr_progress();

}  // namespace octavo
