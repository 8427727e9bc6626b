// Drawing of progress on a terminal or as plain lines.
// SPDX-License-Identifier: Apache-2.0
#include "core/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "core/error.h"

namespace octavo {
namespace {

constexpr int kBarCells = 24;

std::string bar(double share) {
  const int full = static_cast<int>(share * kBarCells);
  return fmt::format("[{}{}]", std::string(full, '#'), std::string(kBarCells - full, '.'));
}

// Cut to a number of columns; counts code points, which is right for all but wide characters.
std::string cut(std::string_view text, int columns) {
  int seen = 0;
  size_t end = 0;
  while (end < text.size() && seen < columns) {
    ++end;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    ++seen;
  }
  return std::string(text.substr(0, end));
}

}  // namespace

std::string format_duration(double seconds) {
  // The bound keeps the cast defined for rates close to nothing.
  const auto whole = static_cast<int64_t>(std::clamp(std::ceil(seconds), 0.0, 1e9));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

TerminalProgress::TerminalProgress(TerminalProgressOptions options) : options_(std::move(options)) {
  OCTAVO_CHECK(options_.clock_s && options_.write);
}

TerminalProgress::~TerminalProgress() {
  try {
    finish();
  } catch (...) {
    // A progress line that cannot be written is no reason to end the work.
  }
}

void TerminalProgress::update(int64_t done, int64_t total, std::string_view message) {
  const double now_s = options_.clock_s();
  done_ = done;
  total_ = total;
  message_ = printable(message);
  drawn_latest_ = false;
  const double interval_s =
      options_.is_terminal ? options_.redraw_interval_s : options_.line_interval_s;
  if (active_ && now_s - drawn_s_ < interval_s) return;
  if (!active_) {
    active_ = true;
    started_s_ = now_s;
    first_done_ = done;
  }
  draw(now_s);
}

void TerminalProgress::finish() {
  if (!active_) return;
  if (!drawn_latest_) draw(options_.clock_s());
  if (options_.is_terminal) options_.write("\n");
  active_ = false;
}

void TerminalProgress::draw(double now_s) {
  std::string line = message_;
  const double elapsed_s = now_s - started_s_;
  const int64_t advanced = done_ - first_done_;
  if (total_ > 0) {
    const double share = std::clamp(static_cast<double>(done_) / total_, 0.0, 1.0);
    const std::string gauge = options_.is_terminal ? bar(share) + " " : "";
    line += fmt::format(" {}{}/{} ({:.0f}%)", gauge, done_, total_, std::floor(share * 100));
    if (done_ >= total_) {
      line += fmt::format(", took {}", format_duration(elapsed_s));
    } else if (advanced > 0 && elapsed_s > 0) {
      const double left_s = elapsed_s / advanced * (total_ - done_);
      line += fmt::format(", {} left", format_duration(left_s));
    }
  } else {
    line += fmt::format(" {}", done_);
  }
  // One column stays free: some terminals wrap when the last one is written.
  options_.write(options_.is_terminal
                     ? fmt::format("\r{}\x1b[K", cut(line, std::max(1, options_.columns - 1)))
                     : line + "\n");
  drawn_s_ = now_s;
  drawn_latest_ = true;
}

std::unique_ptr<Progress> stderr_progress() {
  TerminalProgressOptions options;
  options.is_terminal = isatty(STDERR_FILENO) == 1;
  winsize size{};
  if (options.is_terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    options.columns = size.ws_col;
  }
  options.clock_s = [] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  };
  options.write = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  return std::make_unique<TerminalProgress>(std::move(options));
}

}  // namespace octavo
