// Dummy weights: random values of realistic spread, for benchmarks and tests.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: a pure function of name and element index, so that any sharding is the same model.
#pragma once

#include <map>
#include <optional>

#include "io/quantization_config.h"
#include "model/architecture.h"
#include "model/weight_source.h"

namespace octavo {

// Elements [first, …) of a tensor, as many as `destination` holds.
void write_fill(const FillPattern& fill, int64_t first, std::span<std::byte> destination);

// 16-bit matrices are uniform with the variance of 1 / columns, so that activations keep their
// scale; norms are 1. Quantized matrices are codes drawn directly, uniform over ±256, with the
// scale that gives the same variance. Input scales are 8 / 448 and KV scales 8 / 448: inputs after
// a norm stay below 8.
class DummyWeights final : public WeightSource {
 public:
  DummyWeights(const Architecture& architecture, const ModelConfig& config,
               const CheckpointQuantization& quantization);

  std::vector<std::string> names() const override;
  std::optional<WeightInfo> info(std::string_view name) const override;
  void read(std::string_view name, int64_t row_begin,
            std::span<std::byte> destination) const override;
  std::optional<FillPattern> fill_of(std::string_view name) const override;

 private:
  struct Entry {
    WeightInfo info;
    float constant = 0.0f;  // of norms and scales
    bool random = false;
  };
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace octavo
