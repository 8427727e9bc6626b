// Calls of the device sampler in tests: rows of logits and parameters in, SampledTokens out.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <optional>

#include "backend/cuda/device_call.h"
#include "backend/cuda/sampling/sampling.h"
#include "runtime/sampler.h"

namespace octavo::testing {

static_assert(kMaxTopLogprobs == kMaxLogprobs);

// The device's form of one row; its end ids are appended to `end_ids`.
inline SamplingRow row_of(const SamplingParams& params, int32_t slot, int64_t output_index,
                          std::vector<int32_t>& end_ids) {
  SamplingRow row = {.slot = slot,
                     .greedy = is_greedy(params),
                     .has_penalties = has_penalties(params),
                     .logprobs = params.logprobs.has_value(),
                     .num_top = params.logprobs.value_or(0),
                     .top_k = params.top_k.value_or(0),
                     .temperature = params.temperature.value_or(1),
                     .top_p = params.top_p.value_or(1),
                     .min_p = params.min_p.value_or(0),
                     .repetition_penalty = params.repetition_penalty.value_or(1),
                     .presence_penalty = params.presence_penalty.value_or(0),
                     .frequency_penalty = params.frequency_penalty.value_or(0),
                     .seed = params.seed.value_or(0),
                     .output_index = output_index};
  row.ban_ends = output_index < params.min_tokens && !params.stop_token_ids.empty();
  row.first_end = static_cast<int32_t>(end_ids.size());
  row.num_ends = static_cast<int32_t>(params.stop_token_ids.size());
  end_ids.insert(end_ids.end(), params.stop_token_ids.begin(), params.stop_token_ids.end());
  return row;
}

// A guarded array in device memory.
template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : count_(count), buffer_(count * sizeof(T)) {}
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { set(values); }

  T* data() const { return reinterpret_cast<T*>(buffer_.data()); }
  void set(const std::vector<T>& values) {
    OCTAVO_CUDA_CHECK(
        cudaMemcpy(data(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  }
  std::vector<T> get() const {
    std::vector<T> values(count_);
    OCTAVO_CUDA_CHECK(
        cudaMemcpy(values.data(), data(), count_ * sizeof(T), cudaMemcpyDeviceToHost));
    EXPECT_TRUE(buffer_.guards_intact());
    return values;
  }

 private:
  size_t count_;
  DeviceBuffer buffer_;
};

enum class SamplingKernel { kGreedy, kAny };

// The slots' state, and steps over it.
class DeviceSampler {
 public:
  DeviceSampler(int32_t num_slots, int32_t vocab_size)
      : vocab_size_(vocab_size),
        last_token_(std::vector<int32_t>(num_slots, -7)),
        counts_(static_cast<size_t>(num_slots) * vocab_size) {}

  void begin(const std::vector<SlotHistory>& slots, const std::vector<int32_t>& tokens) {
    const DeviceArray<SlotHistory> on_device(slots);
    const DeviceArray<int32_t> device_tokens(tokens);
    cuda::launch_begin_slots({.slots = on_device.data(),
                              .tokens = device_tokens.data(),
                              .counts = counts_.data(),
                              .vocab_size = vocab_size_,
                              .num_slots = static_cast<int32_t>(slots.size())},
                             {});
    OCTAVO_CUDA_CHECK(cudaDeviceSynchronize());
  }

  // Row i starts at logits[i * stride]; a stride of 0 gives all rows the same logits. `pad` moves
  // the logits away from a multiple of 16 bytes.
  std::vector<SampledToken> step(const std::vector<float>& logits, int64_t stride,
                                 const std::vector<SamplingRow>& rows,
                                 const std::vector<int32_t>& end_ids,
                                 SamplingKernel kernel = SamplingKernel::kAny, size_t pad = 0) {
    const DeviceArray<SamplingRow> device_rows(rows);
    std::vector<float> padded(pad, 0.0f);
    padded.insert(padded.end(), logits.begin(), logits.end());
    const DeviceArray<float> device_logits(padded);
    const DeviceArray<int32_t> device_ends(end_ids);
    const DeviceArray<SampledRow> sampled(rows.size());
    const DeviceArray<TopLogprob> top(rows.size() * kMaxTopLogprobs);
    const SampleArgs args = {.rows = device_rows.data(),
                             .logits = device_logits.data() + pad,
                             .end_ids = device_ends.data(),
                             .counts = counts_.data(),
                             .last_token = last_token_.data(),
                             .sampled = sampled.data(),
                             .top = top.data(),
                             .logits_stride = stride,
                             .vocab_size = vocab_size_,
                             .num_rows = static_cast<int32_t>(rows.size())};
    if (kernel == SamplingKernel::kGreedy) {
      cuda::launch_greedy(args, {});
    } else {
      cuda::launch_sample(args, {});
    }
    OCTAVO_CUDA_CHECK(cudaDeviceSynchronize());
    return tokens_of(rows, sampled.get(), top.get());
  }

  std::vector<int32_t> last_tokens() const { return last_token_.get(); }
  std::vector<uint32_t> counts() const { return counts_.get(); }

 private:
  static std::vector<SampledToken> tokens_of(const std::vector<SamplingRow>& rows,
                                             const std::vector<SampledRow>& sampled,
                                             const std::vector<TopLogprob>& top) {
    std::vector<SampledToken> tokens;
    for (size_t i = 0; i < rows.size(); ++i) {
      SampledToken token{.token = sampled[i].token,
                         .logprob = sampled[i].logprob,
                         .numerical_error = sampled[i].numerical_error != 0};
      for (int32_t j = 0; rows[i].slot >= 0 && j < sampled[i].num_top; ++j) {
        const TopLogprob& one = top[i * kMaxTopLogprobs + static_cast<size_t>(j)];
        token.top_logprobs.emplace_back(one.token, one.logprob);
      }
      tokens.push_back(token);
    }
    return tokens;
  }

  int32_t vocab_size_;
  DeviceArray<int32_t> last_token_;
  DeviceArray<uint32_t> counts_;
};

// One row in slot 0, after `history` of which the last `num_output` are output.
inline SampledToken device_draw(const std::vector<float>& logits, const SamplingParams& params,
                                int64_t index = 0, const std::vector<int32_t>& history = {},
                                int32_t num_output = 0,
                                SamplingKernel kernel = SamplingKernel::kAny) {
  const auto vocab_size = static_cast<int32_t>(logits.size());
  DeviceSampler sampler(1, vocab_size);
  sampler.begin({{.slot = 0,
                  .first = 0,
                  .num_prompt = static_cast<int32_t>(history.size()) - num_output,
                  .num_output = num_output}},
                history);
  std::vector<int32_t> end_ids;
  const std::vector<SamplingRow> rows = {row_of(params, 0, index, end_ids)};
  return sampler.step(logits, vocab_size, rows, end_ids, kernel)[0];
}

}  // namespace octavo::testing
