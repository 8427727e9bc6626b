// Words of decode attention's tactics; what they do on a device is in attention_test.cc.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "backend/cuda/attention/attention.h"
#include "core/error.h"

namespace octavo::testing {
namespace {

TEST(DecodeTactic, WordsChangeThePlan) {
  const cuda::DecodePlan plan = cuda::read_tactic({.split = 4}, "early short keys split 8");
  EXPECT_EQ(plan.start, cuda::DecodeStart::kEarly);
  EXPECT_EQ(plan.split, 8);
  EXPECT_TRUE(plan.short_ring);
  EXPECT_TRUE(plan.keys_let_in);
  EXPECT_EQ(cuda::read_tactic({}, "alone").start, cuda::DecodeStart::kAlone);
  const cuda::DecodePlan own = cuda::read_tactic({.split = 4}, "");
  EXPECT_EQ(own.start, cuda::DecodeStart::kUsual);
  EXPECT_FALSE(own.short_ring || own.keys_let_in);
  EXPECT_EQ(own.split, 4);
}

TEST(DecodeTactic, WhatMakesNoSenseIsNamedAndCountsForNothing) {
  for (const char* tactic : {"late", "split", "split 3", "split 32", "split eight", "keys  short",
                             "keys ", "alone short", "keys fill 2"}) {
    EXPECT_EQ(cuda::with_tactic({.split = 4}, tactic).split, 4) << tactic;
    EXPECT_FALSE(cuda::with_tactic({}, tactic).keys_let_in) << tactic;
    try {
      cuda::read_tactic({}, tactic);
      ADD_FAILURE() << tactic;
    } catch (const Error& error) {
      EXPECT_NE(std::string_view(error.what()).find(tactic), std::string_view::npos)
          << error.what();
    }
  }
}

}  // namespace
}  // namespace octavo::testing
