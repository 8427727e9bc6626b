// What the device sampler keeps between steps, whole batches of every kind of row, and graphs.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "backend/cuda/device_sampler.h"

namespace octavo::testing {
namespace {

using ::testing::ElementsAre;

TEST(DeviceSlots, CountTheirOwnTokens) {
  OCTAVO_REQUIRE_DEVICE();
  DeviceSampler sampler(/*num_slots=*/2, /*vocab_size=*/3);
  const SamplingParams params{.presence_penalty = 2};
  const std::vector<float> logits = {3, 2, 0.5f};
  std::vector<int32_t> end_ids;
  const auto token = [&](int32_t slot, int64_t index, const std::vector<float>& row) {
    return sampler.step(row, 3, {row_of(params, slot, index, end_ids)}, end_ids)[0].token;
  };
  // Prompt {2}, output {0}: token 0 is penalised, the prompt's token is not.
  sampler.begin({{.slot = 1, .first = 0, .num_prompt = 1, .num_output = 1}}, {2, 0});
  EXPECT_EQ(token(1, 1, logits), 1);  // 3-2, 2, 0.5
  EXPECT_EQ(token(1, 2, logits), 0);  // 3-2, 2-2, 0.5
  sampler.begin({{.slot = 0, .first = 0, .num_prompt = 1, .num_output = 0}}, {2});
  EXPECT_EQ(token(0, 0, logits), 0);
  EXPECT_THAT(sampler.last_tokens(), ElementsAre(0, 0));
  EXPECT_THAT(sampler.counts(), ElementsAre(1, 0, kInPrompt, 2, 1, kInPrompt));
  // The slot starts anew with a new history.
  sampler.begin({{.slot = 1, .first = 0, .num_prompt = 1, .num_output = 0}}, {2});
  EXPECT_EQ(token(1, 0, {3, 2, 1.5f}), 0);
  EXPECT_EQ(token(1, 1, {0, 2, 1.5f}), 1);
  EXPECT_THAT(sampler.last_tokens(), ElementsAre(0, 1));
}

TEST(DeviceSlots, BeginCountsWhatTheHostCounts) {
  OCTAVO_REQUIRE_DEVICE();
  constexpr int32_t kVocab = 5003, kSlots = 5;
  Values values(3);
  DeviceSampler sampler(kSlots, kVocab);
  std::vector<SlotHistory> slots;
  std::vector<int32_t> tokens;
  std::vector<uint32_t> expected(kSlots * kVocab, 0);
  for (const int32_t slot : {3, 0, 4, 1, 2}) {
    slots.push_back({slot, static_cast<int32_t>(tokens.size()), slot * 2000, 3000 - slot * 700});
    for (int32_t i = 0; i < slots.back().num_prompt + slots.back().num_output; ++i) {
      tokens.push_back(values.below(i % 2 == 0 ? kVocab : 9));
      uint32_t& count = expected[static_cast<size_t>(slot * kVocab + tokens.back())];
      if (i < slots.back().num_prompt) {
        count |= kInPrompt;
      } else {
        ++count;
      }
    }
  }
  // Tokens outside the vocabulary are left out.
  slots[4].num_output += 2;
  tokens.push_back(-1);
  tokens.push_back(kVocab);
  sampler.begin(slots, tokens);
  EXPECT_EQ(sampler.counts(), expected);
}

// Rows of every kind, with padding between them.
std::vector<SamplingParams> mixed_params() {
  std::vector<SamplingParams> all(8);
  all[1] = {.temperature = 0.8f, .seed = 3};
  all[2] = {.temperature = 1, .top_p = 0.9f, .seed = 4};
  all[3] = {.temperature = 1, .top_k = 40, .seed = 5};
  all[4] = {.temperature = 1, .top_p = 0.95f, .top_k = 100, .min_p = 0.01f, .seed = 6};
  all[5] = {.repetition_penalty = 1.2f};
  all[6] = {.temperature = 1.2f, .seed = 7, .presence_penalty = 0.5f, .frequency_penalty = 0.25f};
  all[7] = {.min_tokens = 100, .temperature = 1, .seed = 8, .stop_token_ids = {5, 6, 7}};
  all[2].logprobs = 5;
  all[6].logprobs = 20;
  return all;
}

struct Mixed {
  static constexpr int32_t kVocab = 32001, kSlots = 16;
  std::vector<float> logits;
  std::vector<SamplingRow> rows;
  std::vector<SlotHistory> slots;
  std::vector<int32_t> end_ids, history;

  Mixed() {
    Values values(9);
    const std::vector<SamplingParams> all = mixed_params();
    std::normal_distribution<float> normal(0, 3.0f);
    logits.resize(static_cast<size_t>(kSlots) * kVocab);
    for (float& x : logits) x = normal(values.engine());
    for (int32_t i = 0; i < kSlots; ++i) {
      const SamplingParams& params = all[static_cast<size_t>(i / 2)];
      rows.push_back(row_of(params, i % 2 == 0 ? -1 : kSlots - 1 - i, 11, end_ids));
      slots.push_back({i, 40 * i, 30, 10});
      for (int j = 0; j < 40; ++j) history.push_back(values.below(kVocab));
    }
  }
};

void expect_same(const SampledToken& a, const SampledToken& b) {
  EXPECT_EQ(a.token, b.token);
  EXPECT_EQ(a.logprob, b.logprob);
  EXPECT_EQ(a.top_logprobs, b.top_logprobs);
}

TEST(DeviceSlots, ARowDoesNotDependOnItsBatch) {
  OCTAVO_REQUIRE_DEVICE();
  const Mixed mixed;
  DeviceSampler together(Mixed::kSlots, Mixed::kVocab);
  DeviceSampler alone(Mixed::kSlots, Mixed::kVocab);
  together.begin(mixed.slots, mixed.history);
  alone.begin(mixed.slots, mixed.history);
  for (int step = 0; step < 3; ++step) {
    const std::vector<SampledToken> all =
        together.step(mixed.logits, Mixed::kVocab, mixed.rows, mixed.end_ids);
    for (size_t i = 1; i < mixed.rows.size(); i += 2) {
      const std::vector<float> row(
          mixed.logits.begin() + static_cast<int64_t>(i) * Mixed::kVocab,
          mixed.logits.begin() + static_cast<int64_t>(i + 1) * Mixed::kVocab);
      // Aligned or not, it is the same.
      const size_t pad = static_cast<size_t>(step);
      expect_same(alone.step(row, Mixed::kVocab + 3, {mixed.rows[i]}, mixed.end_ids,
                             SamplingKernel::kAny, pad)[0],
                  all[i]);
    }
    EXPECT_EQ(together.last_tokens(), alone.last_tokens());
    EXPECT_EQ(together.counts(), alone.counts());
  }
  for (int32_t slot = 1; slot < Mixed::kSlots; slot += 2)
    EXPECT_EQ(together.last_tokens()[static_cast<size_t>(slot)], -7) << "no row names it";
}

TEST(DeviceSlots, AGraphReplaysWhatTheRowsThenSay) {
  OCTAVO_REQUIRE_DEVICE();
  const Mixed mixed;
  DeviceSampler reference(Mixed::kSlots, Mixed::kVocab);
  reference.begin(mixed.slots, mixed.history);
  const DeviceArray<float> logits(mixed.logits);
  const DeviceArray<int32_t> end_ids(mixed.end_ids), last(Mixed::kSlots);
  const DeviceArray<uint32_t> counts(reference.counts());
  DeviceArray<SamplingRow> rows(std::vector<SamplingRow>(Mixed::kSlots));
  const DeviceArray<SampledRow> sampled(Mixed::kSlots);
  const DeviceArray<TopLogprob> top(Mixed::kSlots * kMaxTopLogprobs);
  const SampleArgs args = {.rows = rows.data(),
                           .logits = logits.data(),
                           .end_ids = end_ids.data(),
                           .counts = counts.data(),
                           .last_token = last.data(),
                           .sampled = sampled.data(),
                           .top = top.data(),
                           .logits_stride = Mixed::kVocab,
                           .vocab_size = Mixed::kVocab,
                           .num_rows = Mixed::kSlots};
  cudaStream_t stream = nullptr;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  OCTAVO_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  OCTAVO_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  cuda::launch_sample(args, {stream, true});
  OCTAVO_CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
  OCTAVO_CUDA_CHECK(cudaGraphInstantiate(&executable, graph, 0));
  rows.set(mixed.rows);  // all rows were padding until now
  for (int step = 0; step < 2; ++step) {
    OCTAVO_CUDA_CHECK(cudaGraphLaunch(executable, stream));
    OCTAVO_CUDA_CHECK(cudaStreamSynchronize(stream));
    const std::vector<SampledToken> expected =
        reference.step(mixed.logits, Mixed::kVocab, mixed.rows, mixed.end_ids);
    const std::vector<SampledRow> got = sampled.get();
    for (size_t i = 1; i < got.size(); i += 2) {
      EXPECT_EQ(got[i].token, expected[i].token);
      EXPECT_EQ(got[i].logprob, expected[i].logprob);
    }
    EXPECT_EQ(counts.get(), reference.counts());
  }
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
}

TEST(DeviceSlots, StepTokensComeFromTheHostOrTheLastStep) {
  OCTAVO_REQUIRE_DEVICE();
  const DeviceArray<int32_t> host(std::vector<int32_t>{10, 11, 12, 13});
  const DeviceArray<int32_t> from(std::vector<int32_t>{-1, 2, -1, 0});
  const DeviceArray<int32_t> last(std::vector<int32_t>{70, 71, 72});
  const DeviceArray<int32_t> ids(4);
  cuda::launch_step_tokens({.host_ids = host.data(),
                            .from_slot = from.data(),
                            .last_token = last.data(),
                            .token_ids = ids.data(),
                            .count = 4},
                           {});
  OCTAVO_CUDA_CHECK(cudaDeviceSynchronize());
  EXPECT_THAT(ids.get(), ElementsAre(10, 72, 12, 70));
}

}  // namespace
}  // namespace octavo::testing
