// Limits of plans.
// SPDX-License-Identifier: Apache-2.0
#include "program/engine_image.h"

#include <algorithm>

namespace octavo {
namespace {

constexpr int64_t kMaxLogitRows = 1024;  // of a chunk; bounds the memory of the logits

}  // namespace

int64_t max_logit_rows(int64_t max_sequences, int64_t max_tokens) {
  return std::max(max_sequences, std::min(max_tokens, kMaxLogitRows));
}

Tensor on_device(Tensor tensor, Device& device) {
  if (device.type() == DeviceType::kCpu) return tensor;
  std::shared_ptr<std::byte[]> memory = device.allocate(tensor.bytes());
  device.upload(memory.get(), tensor.data(), tensor.bytes());
  return Tensor(std::move(memory), 0, tensor.dtype(), tensor.shape());
}

SymbolValues Plan::maxima(const SymbolValues& engine) const {
  SymbolValues values = engine;
  values.tokens = std::min(engine.tokens, max_tokens);
  if (kind == PlanKind::kDecode) {
    values.tokens = std::min(values.tokens, engine.sequences);
    values.sequences = values.tokens;
  }
  values.logit_rows =
      kind == PlanKind::kDecode ? values.tokens : std::min(values.logit_rows, values.tokens);
  return values;
}

}  // namespace octavo
