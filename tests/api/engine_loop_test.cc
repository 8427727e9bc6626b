// The thread that drives the engine: order, refusal, abort, end.
// SPDX-License-Identifier: Apache-2.0
#include "api/engine_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "api/api_support.h"
#include "api/session.h"
#include "io/test_support.h"

namespace octavo {
namespace {

class EngineLoopTest : public testing::Test {
 protected:
  Request request(int64_t max_tokens, std::function<void(RequestOutput)> on_finish) {
    Request request{.prompt_token_ids = {0, 7}, .sampling = greedy(max_tokens)};
    request.sampling.ignore_eos = true;
    request.on_finish = std::move(on_finish);
    return request;
  }

  SilentProgress silent_;
  Session session_{pocket_options(), small_runtime(), silent_};
};

TEST_F(EngineLoopTest, RunsWhatIsSubmitted) {
  EngineLoop loop(session_.engine());
  std::promise<RequestOutput> done;
  loop.submit({request(3, [&](RequestOutput output) { done.set_value(std::move(output)); })});
  EXPECT_EQ(done.get_future().get().token_ids.size(), 3u);
  loop.rethrow_failure();
}

TEST_F(EngineLoopTest, ARefusedRequestTakesTheOthersWithItSilently) {
  EngineLoop loop(session_.engine());
  std::atomic<int> called = 0;
  const auto count = [&](RequestOutput) { ++called; };
  Request bad = request(3, count);
  bad.prompt_token_ids = {1 << 20};
  const Error error = error_of([&] { loop.submit({request(3, count), bad}); });
  EXPECT_EQ(error.category(), ErrorCategory::kUsage);
  loop.stop();
  EXPECT_EQ(called, 0);
  EXPECT_EQ(session_.engine().statistics().aborted, 1);
}

TEST_F(EngineLoopTest, StopAbortsWhatIsLeftAndRefusesMore) {
  EngineLoop loop(session_.engine());
  std::promise<RequestOutput> done;
  loop.submit({request(400, [&](RequestOutput output) { done.set_value(std::move(output)); })});
  loop.stop();
  EXPECT_EQ(done.get_future().get().finish_reason, FinishReason::kAbort);
  EXPECT_EQ(error_of([&] { loop.submit({request(1, nullptr)}); }).category(),
            ErrorCategory::kUsage);
  loop.abort(0);
  loop.stop();
}

}  // namespace
}  // namespace octavo
