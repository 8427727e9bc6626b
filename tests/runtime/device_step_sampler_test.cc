// Sampling on a device, with kernels of the host in its place.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/device_step_sampler.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/host_device.h"

namespace octavo {
namespace {

// What the kernels were asked for.
struct Log {
  std::vector<SamplingRow> rows;
  std::vector<int32_t> end_ids, history;
  int greedy = 0, general = 0;
};
Log log_;

void sample(const SampleArgs& args, const LaunchContext&) {
  log_.rows.assign(args.rows, args.rows + args.num_rows);
  for (int32_t i = 0; i < args.num_rows; ++i) {
    const SamplingRow& row = args.rows[i];
    const float* logits = args.logits + i * args.logits_stride;
    const auto token =
        static_cast<int32_t>(std::max_element(logits, logits + args.vocab_size) - logits);
    args.sampled[i] = {.token = token,
                       .numerical_error = logits[token] > 100,
                       .logprob = -0.5f,
                       .num_top = row.num_top};
    for (int32_t k = 0; k < row.num_top; ++k) args.top[i * kMaxTopLogprobs + k] = {k, -1.0f * k};
    args.last_token[row.slot] = token;
    if (row.num_ends > 0)
      log_.end_ids.assign(args.end_ids + row.first_end,
                          args.end_ids + row.first_end + row.num_ends);
    EXPECT_EQ(row.has_penalties, args.counts != nullptr && row.has_penalties);
  }
}

const DeviceKernels kHostKernels = {
    .device = DeviceType::kCpu,
    .max_sampled_vocab = 1 << 20,
    .greedy =
        [](const SampleArgs& args, const LaunchContext& context) {
          ++log_.greedy;
          sample(args, context);
        },
    .sample =
        [](const SampleArgs& args, const LaunchContext& context) {
          ++log_.general;
          sample(args, context);
        },
    .begin_slots =
        [](const SlotHistories& all, const LaunchContext&) {
          ASSERT_EQ(all.num_slots, 1);
          EXPECT_EQ(all.slots[0].slot, 1);
          EXPECT_EQ(all.slots[0].num_prompt, 2);
          EXPECT_EQ(all.slots[0].num_output, 1);
          log_.history.assign(all.tokens, all.tokens + 3);
        },
    .step_tokens =
        [](const StepTokens& tokens, const LaunchContext&) {
          for (int64_t i = 0; i < tokens.count; ++i) {
            const int32_t slot = tokens.from_slot[i];
            tokens.token_ids[i] = slot >= 0 ? tokens.last_token[slot] : tokens.host_ids[i];
          }
        },
    .fill = nullptr,
    .observe = nullptr};

class DeviceStepSamplerTest : public testing::Test {
 protected:
  DeviceStepSamplerTest() { log_ = {}; }

  TensorView logits(std::vector<float> values) {
    values_ = std::move(values);
    return TensorView(values_.data(), DType::kF32, {std::ssize(values_) / 3, 3});
  }

  ThreadPool pool_{1};
  HostDevice device_{pool_};
  DeviceStepSampler sampler_{
      device_, kHostKernels, {.slots = 4, .vocab_size = 3, .steps_in_flight = 2}};
  SamplingParams greedy_;
  std::vector<float> values_;
};

TEST_F(DeviceStepSamplerTest, ReturnsResultsInOrderAndKeepsLastTokens) {
  const StepSequence a{.slot = 2, .sample = true, .sampling = &greedy_};
  const StepSequence b{.slot = 0, .sample = true, .sampling = &greedy_};
  sampler_.launch({.id = 5, .sequences = {a, {.slot = 1}, b}}, logits({0, 1, 0, 0, 0, 1000}));
  sampler_.launch({.id = 6, .sequences = {{.slot = 1}}}, logits({}));
  EXPECT_EQ(sampler_.last_token(2), std::nullopt);
  const StepResult first = sampler_.wait(), second = sampler_.wait();
  EXPECT_EQ(first.id, 5);
  ASSERT_EQ(first.tokens.size(), 2u);
  EXPECT_EQ(first.tokens[0].token, 1);
  EXPECT_FALSE(first.tokens[0].numerical_error);
  EXPECT_TRUE(first.tokens[1].numerical_error);
  EXPECT_EQ(second.id, 6);
  EXPECT_TRUE(second.tokens.empty());
  EXPECT_EQ(log_.greedy, 1);

  StepBuffers buffers(
      {.tokens = 3, .sequences = 3, .logit_rows = 3, .cache_blocks = 1, .table_width = 1}, device_);
  Batch batch;
  batch.table_width = 1;
  batch.append({9}, 0, {0}, 4);
  batch.append({9}, 0, {0}, 4);
  batch.token_slots = {2, -1};
  buffers.upload(batch);
  sampler_.resolve(buffers, 2, device_);
  EXPECT_EQ(buffers.token_ids().as<int32_t>()[0], 1);
  EXPECT_EQ(buffers.token_ids().as<int32_t>()[1], 9);
}

TEST_F(DeviceStepSamplerTest, DescribesEveryParameter) {
  SamplingParams params{.min_tokens = 4,
                        .temperature = 0.5f,
                        .top_p = 0.9f,
                        .top_k = 7,
                        .min_p = 0.1f,
                        .seed = 11,
                        .repetition_penalty = 1.5f,
                        .presence_penalty = 0.25f,
                        .frequency_penalty = 0.75f,
                        .stop_token_ids = {2, 1},
                        .logprobs = 2};
  const StepSequence sequence{
      .slot = 1, .sample = true, .sampling = &params, .output_index = 1, .history = {5, 6, 7}};
  sampler_.launch({.sequences = {sequence}}, logits({0, 0, 1}));
  EXPECT_EQ(log_.general, 1);
  EXPECT_EQ(log_.history, (std::vector<int32_t>{5, 6, 7}));
  EXPECT_EQ(log_.end_ids, (std::vector<int32_t>{2, 1}));
  ASSERT_EQ(log_.rows.size(), 1u);
  const SamplingRow& row = log_.rows[0];
  EXPECT_FALSE(row.greedy);
  EXPECT_TRUE(row.has_penalties && row.ban_ends && row.logprobs);
  EXPECT_EQ(row.top_k, 7);
  EXPECT_EQ(row.temperature, 0.5f);
  EXPECT_EQ(row.top_p, 0.9f);
  EXPECT_EQ(row.min_p, 0.1f);
  EXPECT_EQ(row.repetition_penalty, 1.5f);
  EXPECT_EQ(row.presence_penalty, 0.25f);
  EXPECT_EQ(row.frequency_penalty, 0.75f);
  EXPECT_EQ(row.seed, 11u);
  EXPECT_EQ(row.output_index, 1);
  const StepResult result = sampler_.wait();
  EXPECT_EQ(result.tokens[0].token, 2);
  EXPECT_EQ(result.tokens[0].logprob, -0.5f);
  EXPECT_EQ(result.tokens[0].top_logprobs.size(), 2u);
  EXPECT_EQ(result.tokens[0].top_logprobs[1].first, 1);
}

}  // namespace
}  // namespace octavo
