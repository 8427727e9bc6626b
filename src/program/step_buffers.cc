// Staging of a step's inputs.
// SPDX-License-Identifier: Apache-2.0
#include "program/step_buffers.h"

#include <cstring>

#include "core/checked.h"

namespace octavo {
namespace {

constexpr int64_t kAlignment = 256;
constexpr std::string_view kTokenSlots = "token_slots";  // an input of no Program

}  // namespace

StepBuffers::StepBuffers(const SymbolValues& maxima, Device& device, int in_flight)
    : device_(device) {
  add(kTokenIds, DType::kI32, {maxima.tokens});
  add(kTokenSlots, DType::kI32, {maxima.tokens});
  add(kPositions, DType::kI32, {maxima.tokens});
  add(kSlots, DType::kI64, {maxima.tokens});
  add(kQueryStart, DType::kI32, {maxima.sequences});
  add(kQueryLength, DType::kI32, {maxima.sequences});
  add(kKvLength, DType::kI32, {maxima.sequences});
  add(kBlockTable, DType::kI32, {maxima.sequences, maxima.table_width});
  add(kLogitRows, DType::kI32, {maxima.logit_rows});
  memory_ = device.allocate(staging_bytes_);
  device.zero(memory_.get(), staging_bytes_);
  for (Input& input : inputs_) input.device.data = memory_.get() + input.staging_offset;
  token_ids_ = inputs_[0].device;
  token_slots_ = inputs_[1].device;
  for (int i = 0; i < in_flight; ++i)
    slots_.push_back({device.allocate_staging(staging_bytes_), device.make_event()});
}

TensorView StepBuffers::add(std::string_view name, DType dtype, Shape shape) {
  TensorView view(nullptr, dtype, shape);
  inputs_.push_back({name, view, staging_bytes_});
  staging_bytes_ += round_up(std::max<int64_t>(view.bytes(), 1), kAlignment);
  return view;
}

void StepBuffers::bind_to(Interpreter& interpreter) const {
  for (const Input& input : inputs_) {
    const TensorId id = interpreter.program().find(input.name);
    if (id != kNoTensor) interpreter.bind(id, input.device);
  }
}

CopyRange StepBuffers::stage(const Input& input, const void* values, int64_t bytes,
                             Slot& slot) const {
  OCTAVO_CHECK(bytes <= input.device.bytes());
  std::byte* at = slot.staging.get() + input.staging_offset;
  if (bytes > 0) std::memcpy(at, values, static_cast<size_t>(bytes));
  return {.to = input.device.data, .from = at, .bytes = bytes};
}

void StepBuffers::upload(const Batch& batch) {
  Slot& slot = slots_[next_];
  next_ = (next_ + 1) % slots_.size();
  slot.done->wait();
  std::vector<CopyRange> ranges;
  const auto add_range = [&](size_t index, const auto& values) {
    const auto bytes = static_cast<int64_t>(values.size() * sizeof(values[0]));
    ranges.push_back(stage(inputs_[index], values.data(), bytes, slot));
  };
  add_range(0, batch.token_ids);
  add_range(1, batch.token_slots);
  add_range(2, batch.positions);
  add_range(3, batch.slots);
  add_range(4, batch.query_start);
  add_range(5, batch.query_length);
  add_range(6, batch.kv_length);
  add_range(7, batch.block_table);
  add_range(8, batch.logit_rows);
  CopyRange& table = ranges[7];
  table.rows = std::ssize(batch.query_start);
  table.bytes = batch.table_width * size_of(DType::kI32);
  table.from_pitch = table.bytes;
  table.to_pitch = inputs_[7].device.row_stride * size_of(DType::kI32);
  OCTAVO_CHECK(table.bytes <= table.to_pitch);
  device_.gather(ranges);
  slot.done->record();
}

}  // namespace octavo
