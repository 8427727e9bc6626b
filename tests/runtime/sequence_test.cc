// Lengths of a sequence while its samples are in flight.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/sequence.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(Sequence, CountsWhatIsKnownAndWhatIsOnItsWay) {
  Sequence sequence{.tokens = {4, 5, 6, 7}, .num_prompt = 3, .samples_in_flight = 2};
  sequence.sampling.max_tokens = 10;
  sequence.blocks = {8, 9};
  EXPECT_EQ(sequence.num_known(), 4);
  EXPECT_EQ(sequence.num_outputs(), 1);
  EXPECT_EQ(sequence.length(), 6);
  EXPECT_EQ(sequence.num_outputs_scheduled(), 3);
  EXPECT_EQ(sequence.max_length(), 13);
  EXPECT_EQ(sequence.num_blocks(), 2);
}

}  // namespace
}  // namespace octavo
