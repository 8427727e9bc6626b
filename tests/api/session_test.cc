// Model, runner and engine wired together.
// SPDX-License-Identifier: Apache-2.0
#include "api/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/api_support.h"
#include "io/test_support.h"

namespace octavo {
namespace {

using testing::HasSubstr;

TEST(Session, RunsRequestsUnderItsLimits) {
  SilentProgress silent;
  RuntimeOptions runtime = small_runtime();
  runtime.max_batch_size = 2;
  runtime.scheduler_policy = "max_utilization";
  Session session(dummy_options(), runtime, silent);
  EXPECT_EQ(session.runner().max_batch_size(), 2);
  EXPECT_EQ(session.runner().num_blocks(), 64);
  EXPECT_EQ(session.config().vocab_size, 4096);
  for (int32_t i = 0; i < 3; ++i)
    session.engine().submit({.prompt_token_ids = {0, i + 7}, .sampling = greedy(3)});
  session.engine().run_until_idle();
  EXPECT_EQ(session.engine().take_finished().size(), 3u);
}

TEST(Session, SharesALoadedModel) {
  SilentProgress silent;
  const auto pool = std::make_shared<ThreadPool>(1);
  const LoadedModel model = load_model(dummy_options(), *pool, silent);
  Session a(model, small_runtime(), pool), b(model, small_runtime(), pool);
  EXPECT_EQ(a.model().image, b.model().image);
}

TEST(Session, RefusesUnknownPoliciesAndDepths) {
  SilentProgress silent;
  const auto pool = std::make_shared<ThreadPool>(1);
  const LoadedModel model = load_model(dummy_options(), *pool, silent);
  RuntimeOptions runtime = small_runtime();
  runtime.scheduler_policy = "fifo";
  EXPECT_THAT(error_of([&] { Session(model, runtime, pool); }).what(),
              HasSubstr("--scheduler_policy: expected guaranteed_no_evict|max_utilization"));
  runtime = small_runtime();
  runtime.depth = 3;
  EXPECT_THAT(error_of([&] { Session(model, runtime, pool); }).what(), HasSubstr("depth"));
}

}  // namespace
}  // namespace octavo
