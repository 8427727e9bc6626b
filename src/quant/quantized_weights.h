// QuantizedWeights: a 16-bit checkpoint seen as the quantized one, encoded as it is read.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "model/model_dir.h"
#include "quant/algorithm.h"
#include "quant/block_codes.h"

namespace octavo {

// Scales by tensor name: "….q_proj.weight_scale", "….q_proj.input_scale", "….k_proj.k_scale", …
using Scales = std::map<std::string, ScaleTensor, std::less<>>;

struct QuantizationPlan {
  CheckpointQuantization quantization;
  Scales scales;
  std::vector<std::string> warnings;
  std::map<std::string, NonFinite>
      nonfinite;  // 16-bit weights that are not finite, where that was allowed
};

struct PlanOptions {
  std::vector<std::string> exclude_modules;
  // Modules with a format of their own: the first pattern that matches counts.
  std::vector<std::pair<std::string, const QuantFormat*>> module_formats;
  bool quantize_lm_head = false;
  bool fp8_kv_cache = false;
  std::optional<std::pair<float, float>> clamp;  // of inputs quantized at run time
  bool allow_nonfinite = false;
  std::function<void(int64_t, int64_t)> progress;
};

// Which modules are quantized and with what scales. Reads every weight once for its amax; throws
// Error(kBadFile) naming tensor, index and count where one is not finite.
QuantizationPlan plan_quantization(const ModelDir& model, const QuantFormat& format,
                                   const CalibrationStatistics& statistics,
                                   const PlanOptions& options);

// The linears that would be quantized, by the format of each.
std::map<std::string, LinearScheme> linears_to_quantize(const ModelDir& model,
                                                        const QuantFormat& format,
                                                        const PlanOptions& options);

class QuantizedWeights final : public WeightSource {
 public:
  QuantizedWeights(std::shared_ptr<const WeightSource> source, const ModelDir& model,
                   const QuantizationPlan& plan);

  std::vector<std::string> names() const override;
  std::optional<WeightInfo> info(std::string_view name) const override;
  void read(std::string_view name, int64_t row_begin,
            std::span<std::byte> destination) const override;

 private:
  std::shared_ptr<const WeightSource> source_;
  struct Encoding {
    QuantScheme scheme;
    const ScaleTensor* scales = nullptr;
  };
  std::map<std::string, Encoding, std::less<>> encodings_;  // by weight name
  Scales scales_;
};

}  // namespace octavo
