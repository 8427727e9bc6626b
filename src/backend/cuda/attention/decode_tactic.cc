// What a tactic says of how decode attention is launched.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/attention/attention.h"
#include "backend/cuda/tactic_words.h"
#include "core/error.h"

namespace octavo::cuda {

DecodePlan read_tactic(DecodePlan plan, std::string_view tactic) {
  TacticWords words(tactic);
  while (words.next()) {
    if (words.word() == "early") {
      plan.start = DecodeStart::kEarly;
    } else if (words.word() == "alone") {
      plan.start = DecodeStart::kAlone;
    } else if (words.word() == "short") {
      plan.short_ring = true;
    } else if (words.word() == "keys") {
      plan.keys_let_in = true;
    } else if (words.word() == "split") {
      plan.split = words.number(2, 16);
      if ((plan.split & (plan.split - 1)) != 0) words.fail("a split is a power of two");
    } else {
      words.fail("the words of decode attention are early, alone, short, keys and split");
    }
  }
  if (plan.short_ring && plan.start == DecodeStart::kAlone)
    words.fail("\"alone\" takes the memory that \"short\" leaves");
  return plan;
}

DecodePlan with_tactic(const DecodePlan& plan, std::string_view tactic) {
  try {
    return read_tactic(plan, tactic);
  } catch (const Error&) {
    return plan;
  }
}

}  // namespace octavo::cuda
