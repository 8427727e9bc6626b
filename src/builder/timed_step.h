// TimedStep: a decode step made up for timing attention: where its sequences' keys are.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "ops/kernel.h"

namespace octavo {

// Every sequence of a rope_attention problem has one row and the same number of keys, which follows
// from the table's width; what kernels gain over each other hardly depends on it.
class TimedStep {
 public:
  explicit TimedStep(const Problem& problem);

  // The same problem with caches that hold the step.
  const Problem& problem() const { return problem_; }

  // The contents of input `index`; empty where they do not matter.
  std::vector<std::byte> contents(size_t index) const;

  int64_t length() const { return length_; }

 private:
  int64_t block_of(int64_t sequence, int64_t page) const { return sequence * pages_ + page; }

  Problem problem_;
  int64_t sequences_, block_tokens_, length_, pages_;
};

}  // namespace octavo
