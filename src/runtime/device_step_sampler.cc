// Sampling of steps on the device.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/device_step_sampler.h"

#include <algorithm>
#include <cstring>

#include "core/checked.h"

namespace octavo {
namespace {

// A row's end ids are appended to `end_ids` where it bans them.
SamplingRow row_of(const StepSequence& sequence, std::vector<int32_t>& end_ids) {
  const SamplingParams& params = *sequence.sampling;
  SamplingRow row{
      .slot = sequence.slot,
      .greedy = is_greedy(params),
      .has_penalties = has_penalties(params),
      .ban_ends = sequence.output_index < params.min_tokens && !params.stop_token_ids.empty(),
      .logprobs = params.logprobs.has_value(),
      .num_top = params.logprobs.value_or(0)};
  if (row.ban_ends) {
    row.first_end = static_cast<int32_t>(end_ids.size());
    row.num_ends = static_cast<int32_t>(params.stop_token_ids.size());
    end_ids.insert(end_ids.end(), params.stop_token_ids.begin(), params.stop_token_ids.end());
  }
  if (row.has_penalties) {
    row.repetition_penalty = params.repetition_penalty.value_or(1);
    row.presence_penalty = params.presence_penalty.value_or(0);
    row.frequency_penalty = params.frequency_penalty.value_or(0);
  }
  // A greedy row is the same in every step, and then need not be sent again.
  if (row.greedy) return row;
  row.top_k = params.top_k.value_or(0);
  row.temperature = params.temperature.value_or(1);
  row.top_p = params.top_p.value_or(1);
  row.min_p = params.min_p.value_or(0);
  row.seed = params.seed.value_or(0);
  row.output_index = sequence.output_index;
  return row;
}

template <typename T>
void append(std::vector<std::byte>& bytes, const std::vector<T>& values) {
  const auto* first = reinterpret_cast<const std::byte*>(values.data());
  bytes.insert(bytes.end(), first, first + values.size() * sizeof(T));
}

}  // namespace

DeviceStepSampler::DeviceStepSampler(Device& device, const DeviceKernels& kernels,
                                     const SamplerLimits& limits)
    : device_(device), kernels_(kernels), limits_(limits) {
  told_.assign(static_cast<size_t>(limits.slots), 0);
  last_token_ = device.allocate(limits.slots * static_cast<int64_t>(sizeof(int32_t)));
  device.zero(last_token_.get(), limits.slots * static_cast<int64_t>(sizeof(int32_t)));
  const int64_t result_bytes =
      limits.slots *
      static_cast<int64_t>(sizeof(SampledRow) + kMaxTopLogprobs * sizeof(TopLogprob));
  records_.resize(static_cast<size_t>(limits.steps_in_flight));
  for (Record& record : records_) {
    record.results = {device.allocate_staging(result_bytes), result_bytes};
    record.done = device.make_event();
  }
}

std::optional<int32_t> DeviceStepSampler::last_token(int32_t slot) const {
  if (!limits_.tells_host) return std::nullopt;
  for (auto record = in_flight_.rbegin(); record != in_flight_.rend(); ++record) {
    const auto row = std::ranges::find((*record)->asked, slot, &SamplingRow::slot);
    if (row == (*record)->asked.end()) continue;
    (*record)->done->wait();
    return (*record)->sampled()[row - (*record)->asked.begin()].token;
  }
  return told_[static_cast<size_t>(slot)];
}

TopLogprob* DeviceStepSampler::top_of(const Record& record) const {
  return reinterpret_cast<TopLogprob*>(record.sampled() + limits_.slots);
}

void DeviceStepSampler::follow(Device& device, int64_t step_id) {
  if (&device == &device_) return;
  const auto step = std::ranges::find(in_flight_, step_id, &Record::step_id);
  if (step != in_flight_.end()) device.wait_for(*(*step)->done);  // else it is done
}

// Other devices read the samples where they are: ranks reach each other's memory.
void DeviceStepSampler::resolve(const StepBuffers& buffers, int64_t tokens, Device& device) {
  auto* const ids = buffers.token_ids().as<int32_t>();
  kernels_.step_tokens({.host_ids = ids,
                        .from_slot = buffers.token_slots().as<const int32_t>(),
                        .last_token = reinterpret_cast<const int32_t*>(last_token_.get()),
                        .token_ids = ids,
                        .count = tokens},
                       context(device));
}

uint32_t* DeviceStepSampler::counts() {
  if (counts_ == nullptr) {
    counts_ = device_.allocate(static_cast<int64_t>(limits_.slots) * limits_.vocab_size *
                               static_cast<int64_t>(sizeof(uint32_t)));
  }
  return reinterpret_cast<uint32_t*>(counts_.get());
}

// Slots that start anew with penalties: their counts follow from what they hold already.
void DeviceStepSampler::begin_slots(const Step& step, Record& record) {
  std::vector<SlotHistory> slots;
  std::vector<int32_t> tokens;
  for (const StepSequence& sequence : step.sequences) {
    if (sequence.history.empty()) continue;
    const auto length = static_cast<int32_t>(sequence.history.size());
    const auto num_output = static_cast<int32_t>(sequence.output_index);
    slots.push_back({.slot = sequence.slot,
                     .first = static_cast<int32_t>(tokens.size()),
                     .num_prompt = length - num_output,
                     .num_output = num_output});
    tokens.insert(tokens.end(), sequence.history.begin(), sequence.history.end());
  }
  if (slots.empty()) return;
  std::vector<std::byte> bytes;
  append(bytes, slots);
  append(bytes, tokens);
  Staging& staging = record.histories;
  if (std::ssize(bytes) > staging.bytes)
    staging = {device_.allocate_staging(std::ssize(bytes)), std::ssize(bytes)};
  std::memcpy(staging.memory.get(), bytes.data(), bytes.size());
  const auto* first = reinterpret_cast<const SlotHistory*>(staging.memory.get());
  kernels_.begin_slots({.slots = first,
                        .tokens = reinterpret_cast<const int32_t*>(first + slots.size()),
                        .counts = counts(),
                        .vocab_size = limits_.vocab_size,
                        .num_slots = static_cast<int32_t>(slots.size())},
                       context(device_));
}

void DeviceStepSampler::upload_rows(const Step& step, Record& record) {
  record.asked.clear();
  std::vector<int32_t> end_ids;
  for (const StepSequence& sequence : step.sequences) {
    if (sequence.sample) record.asked.push_back(row_of(sequence, end_ids));
  }
  std::vector<std::byte> bytes;
  append(bytes, record.asked);
  append(bytes, end_ids);
  if (bytes.empty() || bytes == uploaded_) return;
  const int64_t size = std::ssize(bytes);
  if (size > record.rows.bytes) record.rows = {device_.allocate_staging(2 * size), 2 * size};
  // Freed memory is not reused before the device is done with it: freeing waits.
  if (size > device_rows_.bytes) device_rows_ = {device_.allocate(2 * size), 2 * size};
  std::memcpy(record.rows.memory.get(), bytes.data(), bytes.size());
  const CopyRange range{
      .to = device_rows_.memory.get(), .from = record.rows.memory.get(), .bytes = size};
  device_.gather({&range, 1});
  uploaded_ = std::move(bytes);
}

void DeviceStepSampler::launch(const Step& step, const TensorView& logits) {
  OCTAVO_CHECK(in_flight_.size() < records_.size());
  Record& record = records_[next_];
  next_ = (next_ + 1) % records_.size();
  record.step_id = step.id;
  device_.activate();
  begin_slots(step, record);
  upload_rows(step, record);
  in_flight_.push_back(&record);
  if (!record.asked.empty()) {
    const auto* rows = reinterpret_cast<const SamplingRow*>(device_rows_.memory.get());
    const bool counted =
        std::ranges::any_of(record.asked, [](const SamplingRow& row) { return row.has_penalties; });
    const SampleArgs args{.rows = rows,
                          .logits = logits.as<const float>(),
                          .end_ids = reinterpret_cast<const int32_t*>(rows + record.asked.size()),
                          .counts = counted ? counts() : nullptr,
                          .last_token = reinterpret_cast<int32_t*>(last_token_.get()),
                          .sampled = record.sampled(),
                          .top = top_of(record),
                          .logits_stride = logits.row_stride,
                          .vocab_size = limits_.vocab_size,
                          .num_rows = static_cast<int32_t>(record.asked.size())};
    (only_greedy(record.asked) ? kernels_.greedy : kernels_.sample)(args, context(device_));
  }
  record.done->record();
}

StepResult DeviceStepSampler::wait() {
  OCTAVO_CHECK(!in_flight_.empty());
  Record& record = *in_flight_.front();
  in_flight_.pop_front();
  record.done->wait();
  StepResult result{.id = record.step_id};
  for (size_t i = 0; i < record.asked.size(); ++i) {
    const SampledRow& row = record.sampled()[i];
    told_[static_cast<size_t>(record.asked[i].slot)] = row.token;
    SampledToken token{.token = row.token, .numerical_error = row.numerical_error != 0};
    if (record.asked[i].logprobs && !token.numerical_error) {
      token.logprob = row.logprob;
      const TopLogprob* top = top_of(record) + i * kMaxTopLogprobs;
      for (int32_t k = 0; k < row.num_top; ++k)
        token.top_logprobs.emplace_back(top[k].token, top[k].logprob);
    }
    result.tokens.push_back(std::move(token));
  }
  return result;
}

}  // namespace octavo
