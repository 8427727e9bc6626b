// Progress of long work: how far it is, how fast, and when it will be done.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "octavo/progress.h"

namespace octavo {

struct TerminalProgressOptions {
  bool is_terminal = false;         // a bar that redraws itself; otherwise whole lines
  int columns = 80;                 // width that a bar may fill
  double redraw_interval_s = 0.1;   // between redraws of a bar
  double line_interval_s = 5;       // between lines where there is no terminal
  std::function<double()> clock_s;  // seconds since any fixed moment
  std::function<void(std::string_view)> write;
};

// Draws a bar on a terminal; elsewhere writes the first update, one line every few seconds, and the
// last.
class TerminalProgress : public Progress {
 public:
  explicit TerminalProgress(TerminalProgressOptions options);
  ~TerminalProgress() override;  // ends a bar that is still open
  TerminalProgress(const TerminalProgress&) = delete;
  TerminalProgress& operator=(const TerminalProgress&) = delete;

  void update(int64_t done, int64_t total, std::string_view message) override;
  void finish() override;

 private:
  void draw(double now_s);

  TerminalProgressOptions options_;
  bool active_ = false;
  bool drawn_latest_ = false;
  double started_s_ = 0;
  double drawn_s_ = 0;
  int64_t first_done_ = 0;
  int64_t done_ = 0;
  int64_t total_ = 0;
  std::string message_;
};

// "7 s", "3 min 05 s", "2 h 04 min".
std::string format_duration(double seconds);

}  // namespace octavo
