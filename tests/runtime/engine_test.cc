// Requests through the engine over the fake device: streams, ends, faults of executor and callback.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "byte_tokenizer.h"
#include "core/error.h"
#include "fake_executor.h"

namespace octavo {
namespace {

using testing::FakeExecutor;
using ::testing::HasSubstr;
using testing::solo_tokens;

constexpr int32_t kVocab = 50;

struct Rig {
  explicit Rig(int32_t depth = 1, int32_t num_blocks = 32) {
    options.scheduler = {.max_batch_size = 8,
                         .max_num_tokens = 16,
                         .max_seq_len = 100,
                         .tokens_per_block = 4,
                         .num_blocks = num_blocks,
                         .depth = depth};
    options.vocab_size = kVocab;
    options.eos_token_ids = {0};
    options.clock = [this] { return now; };
    executor = std::make_unique<FakeExecutor>(testing::FakeLimits{.num_blocks = num_blocks,
                                                                  .tokens_per_block = 4,
                                                                  .vocab_size = kVocab,
                                                                  .max_batch_size = 8,
                                                                  .max_num_tokens = 16,
                                                                  .depth = depth});
    engine = std::make_unique<Engine>(options, *executor);
  }

  RequestOutput only() {
    engine->run_until_idle();
    auto outputs = engine->take_finished();
    EXPECT_EQ(outputs.size(), 1u);
    return outputs.at(0);
  }

  double now = 0;
  EngineOptions options;
  std::unique_ptr<FakeExecutor> executor;
  std::unique_ptr<Engine> engine;
};

Request request(int32_t prompt, int64_t max_tokens) {
  Request request;
  for (int32_t i = 0; i < prompt; ++i) request.prompt_token_ids.push_back(1 + i);
  request.sampling.max_tokens = max_tokens;
  request.sampling.ignore_eos = true;
  return request;
}

template <typename Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

TEST(Engine, OutputsEqualTheSoloRun) {
  Rig rig;
  const Request asked = request(5, 9);
  const auto expected = solo_tokens(asked.prompt_token_ids, asked.sampling, {}, kVocab);
  const RequestId id = rig.engine->submit(asked);
  const RequestOutput output = rig.only();
  EXPECT_EQ(output.id, id);
  EXPECT_EQ(output.prompt_token_ids, asked.prompt_token_ids);
  EXPECT_EQ(output.token_ids, expected);
  EXPECT_EQ(output.finish_reason, FinishReason::kLength);
  EXPECT_EQ(to_string(output.finish_reason), "length");
  const EngineStatistics statistics = rig.engine->statistics();
  EXPECT_EQ(statistics.generated_tokens, 9);
  EXPECT_EQ(statistics.prompt_tokens, 5);
  EXPECT_EQ(statistics.finished, 1);
  EXPECT_EQ(statistics.scheduler.running, 0);
}

TEST(Engine, EndIdsStopUnlessIgnored) {
  Rig rig;
  Request asked = request(5, 90);
  asked.sampling.ignore_eos = false;
  auto expected = solo_tokens(asked.prompt_token_ids, asked.sampling, {0}, kVocab);
  ASSERT_LT(expected.size(), 90u);
  rig.engine->submit(asked);
  RequestOutput output = rig.only();
  EXPECT_EQ(output.token_ids, expected);
  EXPECT_EQ(output.token_ids.back(), 0);
  EXPECT_EQ(to_string(output.finish_reason), "stop");
  asked.sampling.ignore_eos = true;
  rig.engine->submit(asked);
  output = rig.only();
  EXPECT_EQ(output.token_ids.size(), 90u);
}

TEST(Engine, TokensStreamInOrderAndEndOnce) {
  Rig rig;
  std::vector<int32_t> streamed;
  std::vector<FinishReason> ends;
  std::vector<RequestOutput> outputs;
  Request asked = request(20, 7);
  asked.on_token = [&](const TokenUpdate& update) {
    if (update.token) streamed.push_back(update.token->token);
    if (update.finished) ends.push_back(*update.finished);
  };
  asked.on_finish = [&](RequestOutput output) { outputs.push_back(std::move(output)); };
  rig.engine->submit(std::move(asked));
  rig.engine->run_until_idle();
  ASSERT_EQ(outputs.size(), 1u);
  EXPECT_EQ(streamed, outputs[0].token_ids);
  EXPECT_EQ(ends, std::vector{FinishReason::kLength});
  EXPECT_TRUE(rig.engine->take_finished().empty());
}

TEST(Engine, TimesComeFromTheInjectedClock) {
  Rig rig(/*depth=*/0);
  rig.now = 100;
  rig.engine->submit(request(20, 3));  // two chunks
  for (rig.now = 101; rig.engine->step(); ++rig.now) {
  }
  const RequestOutput output = rig.only();
  EXPECT_EQ(output.submitted, 100);
  EXPECT_EQ(output.first_token, 102);
  EXPECT_EQ(output.finished, 104);
}

TEST(Engine, ADeadlineEndsARequestAndOnlyThatOne) {
  Rig rig;
  Request late = request(4, 60);
  late.timeout_seconds = 5;
  const RequestId id = rig.engine->submit(late);
  const RequestId other = rig.engine->submit(request(4, 60));
  for (; rig.engine->step(); rig.now += 1) {
  }
  const auto outputs = rig.engine->take_finished();
  ASSERT_EQ(outputs.size(), 2u);
  EXPECT_EQ(outputs[0].id, id);
  EXPECT_EQ(outputs[0].finish_reason, FinishReason::kError);
  EXPECT_THAT(outputs[0].error, HasSubstr("timeout"));
  EXPECT_EQ(outputs[1].id, other);
  EXPECT_EQ(outputs[1].finish_reason, FinishReason::kLength);
}

TEST(Engine, AClockThatJumpsBackHarmsNobody) {
  Rig rig;
  Request asked = request(4, 20);
  asked.timeout_seconds = 10000;
  rig.engine->submit(asked);
  for (int i = 0; rig.engine->step(); ++i) rig.now += i % 2 == 0 ? -3600 : 3600;
  EXPECT_EQ(rig.engine->take_finished().at(0).finish_reason, FinishReason::kLength);
}

TEST(Engine, InvalidRequestsAreRefusedAndChangeNothing) {
  Rig rig;
  const auto refuse = [&](auto set) {
    Request bad = request(4, 4);
    set(bad);
    return message_of([&] { rig.engine->submit(std::move(bad)); });
  };
  EXPECT_THAT(refuse([](auto& r) { r.prompt_token_ids[2] = kVocab; }),
              HasSubstr("prompt_token_ids"));
  EXPECT_THAT(refuse([](auto& r) { r.prompt_token_ids[0] = -1; }), HasSubstr("prompt_token_ids"));
  EXPECT_THAT(refuse([](auto& r) { r.prompt_token_ids.clear(); }), HasSubstr("prompt"));
  EXPECT_THAT(refuse([](auto& r) { r.sampling.temperature = 3; }), HasSubstr("temperature"));
  EXPECT_THAT(refuse([](auto& r) { r.sampling.max_tokens = 97; }), HasSubstr("101 tokens"));
  EXPECT_THAT(refuse([](auto& r) { r.timeout_seconds = -1; }), HasSubstr("timeout_seconds"));
  EXPECT_EQ(rig.engine->statistics().submitted, 0);
  EXPECT_FALSE(rig.engine->step());
  EXPECT_EQ(rig.engine->submit(request(4, 4)), 0);
}

TEST(Engine, AbortEndsWithWhatWasGenerated) {
  Rig rig;
  const RequestId id = rig.engine->submit(request(4, 60));
  for (int i = 0; i < 6; ++i) rig.engine->step();
  EXPECT_TRUE(rig.engine->abort(id));
  EXPECT_FALSE(rig.engine->abort(id));
  EXPECT_FALSE(rig.engine->abort(12345));
  const RequestOutput output = rig.only();
  EXPECT_EQ(to_string(output.finish_reason), "abort");
  EXPECT_EQ(output.token_ids.size(), 6u);
  EXPECT_EQ(rig.engine->scheduler().blocks().num_used(), 0);
}

TEST(Engine, ACallbackThatThrowsFailsItsOwnRequest) {
  Rig rig;
  Request bad = request(4, 20);
  int calls = 0;
  bad.on_token = [&calls](const TokenUpdate&) {
    ++calls;
    throw std::runtime_error("reader is gone");
  };
  rig.engine->submit(std::move(bad));
  Request worse = request(4, 20);
  worse.on_finish = [](RequestOutput) { throw 7; };
  rig.engine->submit(std::move(worse));
  rig.engine->submit(request(4, 20));
  rig.engine->run_until_idle();
  const auto outputs = rig.engine->take_finished();
  ASSERT_EQ(outputs.size(), 2u);
  EXPECT_EQ(outputs[0].finish_reason, FinishReason::kError);
  EXPECT_THAT(outputs[0].error, HasSubstr("reader is gone"));
  EXPECT_EQ(outputs[0].token_ids.size(), 1u);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(outputs[1].token_ids.size(), 20u);
}

TEST(Engine, CallbacksMaySubmitAndAbort) {
  Rig rig;
  Engine& engine = *rig.engine;
  const RequestId victim = engine.submit(request(4, 60));
  Request busy = request(4, 10);
  int submitted = 0;
  busy.on_token = [&](const TokenUpdate& update) {
    if (update.token && submitted < 3) engine.submit(request(4 + submitted++, 5));
    if (submitted == 2) engine.abort(victim);
    if (submitted == 3) engine.abort(update.id);
  };
  engine.submit(std::move(busy));
  engine.run_until_idle();
  const auto outputs = engine.take_finished();
  ASSERT_EQ(outputs.size(), 5u);
  EXPECT_EQ(engine.statistics().aborted, 2);
  EXPECT_EQ(engine.scheduler().blocks().num_used(), 0);
}

TEST(Engine, BrokenLogitsFailOneRequestAndLeaveItsMates) {
  Rig rig;
  rig.executor->poison_token = 47;  // outside the mates' prompts
  const Request good = request(6, 5);
  const auto expected = solo_tokens(good.prompt_token_ids, good.sampling, {}, kVocab);
  ASSERT_EQ(std::count(expected.begin(), expected.end(), 47), 0);
  Request bad = request(3, 5);
  bad.prompt_token_ids.back() = 47;
  const RequestId id = rig.engine->submit(bad);
  rig.engine->submit(good);
  rig.engine->run_until_idle();
  auto outputs = rig.engine->take_finished();
  ASSERT_EQ(outputs.size(), 2u);
  EXPECT_EQ(outputs[0].id, id);
  EXPECT_THAT(outputs[0].error, HasSubstr("numerical_error"));
  EXPECT_TRUE(outputs[0].token_ids.empty());
  EXPECT_EQ(outputs[1].token_ids, expected);
}

TEST(Engine, AnExecutorThatThrowsPoisonsTheEngine) {
  for (const bool at_launch : {false, true}) {
    Rig rig;
    (at_launch ? rig.executor->fail_launch : rig.executor->fail_wait) = 3;
    for (int i = 0; i < 12; ++i) rig.engine->submit(request(4, 20));  // some still wait
    EXPECT_THAT(message_of([&] { rig.engine->run_until_idle(); }), HasSubstr("injected"));
    const auto outputs = rig.engine->take_finished();
    EXPECT_EQ(outputs.size(), 12u);
    for (const RequestOutput& output : outputs) {
      EXPECT_EQ(output.finish_reason, FinishReason::kError);
      EXPECT_THAT(output.error, HasSubstr("injected"));
    }
    EXPECT_THAT(message_of([&] { rig.engine->submit(request(4, 4)); }), HasSubstr("injected"));
    EXPECT_THAT(message_of([&] { rig.engine->step(); }), HasSubstr("injected"));
  }
}

TEST(Engine, UnseededRequestsDifferAndSeededOnesRepeat) {
  Rig rig;
  Request asked = request(4, 12);
  asked.sampling.temperature = 1;
  rig.engine->submit(asked);
  rig.engine->submit(asked);
  asked.sampling.seed = 4;
  rig.engine->submit(asked);
  rig.engine->submit(asked);
  std::map<RequestId, std::vector<int32_t>> tokens;
  rig.engine->run_until_idle();
  for (const RequestOutput& output : rig.engine->take_finished()) {
    tokens[output.id] = output.token_ids;
  }
  EXPECT_NE(tokens[0], tokens[1]);
  EXPECT_EQ(tokens[2], tokens[3]);
}

TEST(Engine, CachedTokensAreReported) {
  Rig rig;
  rig.engine->submit(request(13, 2));
  EXPECT_EQ(rig.only().cached_tokens, 0);
  rig.engine->submit(request(13, 2));
  EXPECT_EQ(rig.only().cached_tokens, 12);
  EXPECT_EQ(rig.engine->statistics().cached_tokens, 12);
}

// Says what it is told, whatever the prompt; remembers the steps' parameters.
class ScriptedExecutor : public StepExecutor {
 public:
  explicit ScriptedExecutor(std::vector<int32_t> script) : script_(std::move(script)) {}

  void launch(const Step& step) override {
    StepResult result{.id = step.id};
    for (const StepSequence& sequence : step.sequences) {
      prompts.insert(prompts.end(), sequence.tokens.begin(), sequence.tokens.end());
      if (!sequence.sample) continue;
      const size_t index = std::min(static_cast<size_t>(sequence.output_index), script_.size() - 1);
      result.tokens.push_back({.token = script_[index]});
    }
    results_.push_back(std::move(result));
  }
  StepResult wait() override {
    StepResult result = std::move(results_.front());
    results_.pop_front();
    return result;
  }

  std::vector<int32_t> prompts;

 private:
  std::vector<int32_t> script_;
  std::deque<StepResult> results_;
};

// What `prompt` gives when the model says `script`; `streamed` must join to the same text.
RequestOutput say(std::string_view script, const SamplingParams& sampling, int32_t depth,
                  std::string prompt = "hi") {
  Rig rig(depth);
  rig.options.vocab_size = 300;
  rig.options.eos_token_ids = {testing::kEndId};
  rig.options.tokenizer = testing::byte_tokenizer();
  std::vector<int32_t> ids = testing::byte_ids(script);
  ids.push_back(testing::kEndId);
  ScriptedExecutor executor(ids);
  Engine engine(rig.options, executor);
  Request request{.prompt = prompt, .sampling = sampling};
  std::string streamed;
  request.on_token = [&](const TokenUpdate& update) { streamed += update.text; };
  engine.submit(std::move(request));
  engine.run_until_idle();
  RequestOutput output = engine.take_finished().at(0);
  EXPECT_EQ(streamed, output.text);
  EXPECT_EQ(executor.prompts, testing::byte_ids(prompt));
  EXPECT_EQ(output.prompt, prompt);
  return output;
}

TEST(Engine, TextEndsAtStopStringsAtAnyDepth) {
  for (const int32_t depth : {0, 1, 2}) {
    RequestOutput output = say("Hi é!", {}, depth);
    EXPECT_EQ(output.text, "Hi é!");
    EXPECT_EQ(output.token_ids.size(), 7u);  // with the end id
    EXPECT_EQ(output.finish_reason, FinishReason::kStop);

    output = say("one STOP two", {.stop = {"STOP"}}, depth);
    EXPECT_EQ(output.text, "one ");
    EXPECT_EQ(output.token_ids, testing::byte_ids("one STOP"));
    EXPECT_EQ(output.finish_reason, FinishReason::kStop);

    output = say("one STOP", {.max_tokens = 8, .stop = {"STOP"}}, depth);
    EXPECT_EQ(output.text, "one ");
    EXPECT_EQ(output.finish_reason, FinishReason::kStop);

    output = say("one STOP", {.max_tokens = 7, .stop = {"STOP"}}, depth);
    EXPECT_EQ(output.text, "one STO");
    EXPECT_EQ(output.finish_reason, FinishReason::kLength);

    output = say("a.b", {.stop_token_ids = {'.'}}, depth);
    EXPECT_EQ(output.text, "a");
    EXPECT_EQ(output.token_ids, testing::byte_ids("a."));
  }
}

TEST(Engine, WithoutATokenizerTextIsRefused) {
  Rig rig;
  EXPECT_THAT(message_of([&] { rig.engine->submit({.prompt = "text"}); }), HasSubstr("tokenizer"));
  Request asked = request(3, 3);
  asked.sampling.stop = {"x"};
  EXPECT_THAT(message_of([&] { rig.engine->submit(asked); }), HasSubstr("stop"));
}

TEST(Engine, RefusesBadOptions) {
  Rig rig;
  rig.options.eos_token_ids = {kVocab};
  EXPECT_THAT(message_of([&] { Engine engine(rig.options, *rig.executor); }),
              HasSubstr("eos_token_ids"));
}

}  // namespace
}  // namespace octavo
