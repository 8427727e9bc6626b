// The search of channel scales.
// SPDX-License-Identifier: Apache-2.0
#include "quant/activation_aware.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/host_device.h"
#include "numerics/bf16.h"
#include "numerics/integer_codes.h"
#include "numerics/scale.h"
#include "quant/block_codes.h"

namespace octavo {
namespace {

constexpr int kGrid = 20;
constexpr int64_t kRowsOfStep = 8;  // of a step of calibration, evenly spaced
constexpr int64_t kMaxRows = 128;

// What a linear's input looked like.
struct ChannelSample {
  std::vector<double> absolute;  // Σ |x| of each channel
  std::vector<float> rows;       // [kept, channels]
  int64_t seen = 0;

  int64_t kept() const { return std::ssize(rows) / std::max<int64_t>(std::ssize(absolute), 1); }

  void add(const TensorView& x) {
    std::vector<float> row(static_cast<size_t>(x.columns()));
    absolute.resize(row.size());
    const int64_t step = std::max<int64_t>(1, x.rows() / kRowsOfStep);
    for (int64_t i = 0; i < x.rows(); ++i) {
      convert(x.data + i * x.row_stride * size_of(x.dtype), x.dtype,
              reinterpret_cast<std::byte*>(row.data()), DType::kF32, x.columns());
      for (size_t k = 0; k < row.size(); ++k) absolute[k] += std::fabs(row[k]);
      if (i % step == 0 && kept() < kMaxRows) rows.insert(rows.end(), row.begin(), row.end());
      ++seen;
    }
  }
};

// mean|x|^α over the geometric mean of its ends, so that scales lie around 1.
std::vector<float> channel_scales(const ChannelSample& sample, double alpha) {
  std::vector<float> scales;
  double low = std::numeric_limits<double>::infinity(), high = 0.0;
  for (const double sum : sample.absolute) {
    const double mean =
        std::max(sum / static_cast<double>(std::max<int64_t>(sample.seen, 1)), 1e-4);
    const double scale = std::pow(mean, alpha);
    low = std::min(low, scale), high = std::max(high, scale);
    scales.push_back(static_cast<float>(scale));
  }
  const double middle = std::sqrt(low * high);
  for (float& scale : scales)
    scale = std::clamp(static_cast<float>(scale / middle), 0x1p-10f, 0x1p10f);
  return scales;
}

// Σ over sampled rows of the squared change that quantizing makes to one output.
double row_loss(const std::vector<float>& weight, const std::vector<float>& scales,
                const QuantScheme& scheme, const ChannelSample& sample) {
  const int64_t columns = std::ssize(weight);
  const int64_t width = scheme.block_columns == 0 ? columns : scheme.block_columns;
  std::vector<float> change(weight.size());
  for (int64_t begin = 0; begin < columns; begin += width) {
    const int64_t end = std::min(columns, begin + width);
    float amax = 0.0f;
    for (int64_t k = begin; k < end; ++k) amax = std::max(amax, std::fabs(weight[k] * scales[k]));
    const float step = safe_scale(amax, largest_code(scheme.element));
    for (int64_t k = begin; k < end; ++k)
      change[k] =
          static_cast<float>(to_int4_code(weight[k] * scales[k] / step)) * step / scales[k] -
          weight[k];
  }
  double loss = 0.0;
  for (int64_t row = 0; row < sample.kept(); ++row) {
    const float* x = sample.rows.data() + row * columns;
    float sum = 0.0f;
    for (int64_t k = 0; k < columns; ++k) sum += change[k] * x[k];
    loss += double{sum} * double{sum};
  }
  return loss;
}

class Search {
 public:
  Search(const ModelDir& model, const QuantScheme& scheme, ThreadPool& pool)
      : model_(model), scheme_(scheme), pool_(pool) {}

  std::vector<float> best_scales(const FoldGroup& group, const ChannelSample& sample) const {
    std::vector<Tensor> weights;
    for (const std::string& module : group.consumers)
      weights.push_back(read_tensor_as(*model_.weights, module + ".weight", DType::kF32));
    std::vector<float> best;
    double least = std::numeric_limits<double>::infinity();
    for (int step = 0; step < kGrid; ++step) {
      std::vector<float> scales = channel_scales(sample, static_cast<double>(step) / kGrid);
      double loss = 0.0;
      for (const Tensor& weight : weights) loss += loss_of(weight, scales, sample);
      if (!(loss < least)) continue;
      least = loss;
      best = std::move(scales);
    }
    return best;
  }

 private:
  // Rows are added in order, so that threads change nothing.
  double loss_of(const Tensor& weight, const std::vector<float>& scales,
                 const ChannelSample& sample) const {
    const int64_t columns = weight.shape()[1];
    std::vector<double> losses(static_cast<size_t>(weight.shape()[0]));
    pool_.parallel_for(weight.shape()[0], /*grain=*/4, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const float* first = weight.as<float>() + row * columns;
        losses[static_cast<size_t>(row)] =
            row_loss({first, first + columns}, scales, scheme_, sample);
      }
    });
    double loss = 0.0;
    for (const double of_row : losses) loss += of_row;
    return loss;
  }

  const ModelDir& model_;
  QuantScheme scheme_;
  ThreadPool& pool_;
};

}  // namespace

ModelDir fold_activation_aware(const ModelDir& model,
                               const std::vector<std::vector<int32_t>>& samples,
                               const KernelRegistry& registry, ThreadPool& pool,
                               const ActivationAwareOptions& options) {
  const std::vector<FoldGroup> groups = fold_groups(model, options.modules);
  std::map<std::string, ChannelSample> seen;  // by the first consumer of a group
  for (const FoldGroup& group : groups) seen[group.consumers.front()];
  CalibrationOptions calibration = options.calibration;
  calibration.observer = [&](const Call& call, const Operands& operands) {
    const auto it = call.op == Op::kLinear ? seen.find(call.module) : seen.end();
    if (it != seen.end()) it->second.add(operands.inputs[0]);
  };
  HostDevice device(pool);
  calibrate(model, samples, registry, device, calibration);
  const auto folded = std::make_shared<FoldedWeights>(model.weights);
  const Search search(model, options.weights, pool);
  for (const FoldGroup& group : groups)
    folded->fold(group, search.best_scales(group, seen.at(group.consumers.front())));
  ModelDir result = model;
  result.weights = folded;
  return result;
}

}  // namespace octavo
