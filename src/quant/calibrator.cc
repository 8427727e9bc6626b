// Layer-by-layer calibration.
// SPDX-License-Identifier: Apache-2.0
#include "quant/calibrator.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "core/checked.h"
#include "core/host_device.h"
#include "program/interpreter.h"
#include "program/step_buffers.h"

namespace octavo {
namespace {

// A few sequences that run as one step, with what they carry from layer to layer.
struct Group {
  Batch batch;
  SymbolValues sizes;
  size_t first_sample = 0;
  std::map<TensorId, Tensor> carried;
};

class Calibration {
 public:
  Calibration(const ModelDir& model, const std::vector<std::vector<int32_t>>& samples,
              const KernelRegistry& registry, ThreadPool& pool, const CalibrationOptions& options)
      : model_(model),
        options_(options),
        device_(pool),
        program_(model.architecture->emit(model.config, {.dtype = options.dtype})),
        lives_(lifetimes(program_)) {
    make_groups(samples);
    interpreter_ = std::make_unique<Interpreter>(
        program_, first_candidates(program_, registry, maxima_), maxima_, device_);
    buffers_ = std::make_unique<StepBuffers>(maxima_, device_);
    buffers_->bind_to(*interpreter_);
  }

  CalibrationStatistics run() {
    const size_t calls = program_.calls.size();
    const int64_t layers = model_.config.num_layers;
    for (size_t begin = 0; begin < calls;) {
      const int layer = program_.calls[begin].layer;
      size_t end = begin;
      while (end < calls && program_.calls[end].layer == layer) ++end;
      const bool last = end == calls;
      if (last && !options_.observe_lm_head) break;
      run_layer(begin, end);
      if (options_.progress && layer >= 0)
        options_.progress(std::min<int64_t>(layer + 1, layers), layers);
      begin = end;
    }
    return std::move(statistics_);
  }

 private:
  void make_groups(const std::vector<std::vector<int32_t>>& samples) {
    constexpr int64_t kTokensPerBlock = 32;
    for (size_t first = 0; first < samples.size();
         first += static_cast<size_t>(options_.batch_size)) {
      Group group{.first_sample = first};
      const size_t end = std::min(samples.size(), first + static_cast<size_t>(options_.batch_size));
      for (size_t i = first; i < end; ++i) {
        group.batch.table_width =
            std::max(group.batch.table_width, ceil_div(std::ssize(samples[i]), kTokensPerBlock));
      }
      int32_t next_block = 0;
      for (size_t i = first; i < end; ++i) {
        std::vector<int32_t> blocks(
            static_cast<size_t>(ceil_div(std::ssize(samples[i]), kTokensPerBlock)));
        for (int32_t& block : blocks) block = next_block++;
        group.batch.append(samples[i], 0, blocks, kTokensPerBlock);
      }
      for (size_t row = 0; options_.observe_lm_head && row < group.batch.token_ids.size(); ++row) {
        group.batch.logit_rows.push_back(static_cast<int32_t>(row));
      }
      group.sizes = group.batch.sizes(next_block);
      statistics_.samples += group.sizes.sequences;
      statistics_.tokens += group.sizes.tokens;
      raise_maxima(group.sizes);
      groups_.push_back(std::move(group));
    }
  }

  void raise_maxima(const SymbolValues& sizes) {
    maxima_.tokens = std::max(maxima_.tokens, sizes.tokens);
    maxima_.sequences = std::max(maxima_.sequences, sizes.sequences);
    maxima_.logit_rows = std::max(maxima_.logit_rows, sizes.logit_rows);
    maxima_.cache_blocks = std::max(maxima_.cache_blocks, sizes.cache_blocks);
    maxima_.table_width = std::max(maxima_.table_width, sizes.table_width);
  }

  void run_layer(size_t begin, size_t end) {
    const std::vector<Tensor> bound = bind_layer(begin, end);
    for (Group& group : groups_) {
      buffers_->upload(group.batch);
      for (const auto& [id, tensor] : group.carried) {
        std::memcpy(interpreter_->view(id, group.sizes).data, tensor.data(),
                    static_cast<size_t>(tensor.bytes()));
      }
      last_input_ = kNoTensor;
      interpreter_->run(group.sizes, begin, end, [&](const Call& call, const Operands& operands) {
        see(group, call, operands);
      });
      carry(group, end);
    }
  }

  // Weights and caches of these calls; the returned tensors own them.
  std::vector<Tensor> bind_layer(size_t begin, size_t end) {
    std::vector<Tensor> bound;
    const auto bind = [&](TensorId id) {
      if (id == kNoTensor) return;
      const ProgramTensor& tensor = program_.tensor(id);
      if (tensor.kind == TensorKind::kWeight) {
        bound.push_back(load(id));
      } else if (tensor.kind == TensorKind::kCache) {
        bound.emplace_back(tensor.dtype, evaluate(tensor.shape, maxima_));
      } else {
        return;
      }
      interpreter_->bind(id, bound.back().view());
    };
    for (size_t i = begin; i < end; ++i) {
      for (const TensorId id : program_.calls[i].inputs) bind(id);
      for (const TensorId id : program_.calls[i].outputs) bind(id);
    }
    return bound;
  }

  Tensor load(TensorId id) const {
    const auto literal = program_.literals.find(id);
    if (literal == program_.literals.end()) {
      const std::string& name = program_.tensor(id).name;
      Tensor weight = read_tensor_as(*model_.weights, name, program_.tensor(id).dtype);
      if (!options_.allow_nonfinite)
        require_finite(*model_.weights, name, weight.view(), kAllowNonFiniteHint);
      return weight;
    }
    Tensor tensor(DType::kF32, {std::ssize(literal->second)});
    std::copy(literal->second.begin(), literal->second.end(), tensor.as<float>());
    return tensor;
  }

  // Keeps what later layers read.
  void carry(Group& group, size_t end) {
    group.carried.clear();
    for (size_t i = 0; i < program_.tensors.size(); ++i) {
      const auto id = static_cast<TensorId>(i);
      if (program_.tensors[i].kind != TensorKind::kActivation ||
          program_.tensors[i].base != kNoTensor)
        continue;
      if (lives_[i].first >= static_cast<int>(end) || lives_[i].last < static_cast<int>(end))
        continue;
      const TensorView view = interpreter_->view(id, group.sizes);
      Tensor copy(view.dtype, view.shape);
      std::memcpy(copy.data(), view.data, static_cast<size_t>(view.bytes()));
      group.carried.emplace(id, std::move(copy));
    }
  }

  void see(const Group& group, const Call& call, const Operands& operands) {
    if (call.op == Op::kLinear) {
      // q, k and v read one tensor, gate and up another: each is observed once.
      if (call.inputs[0] != last_input_)
        last_observed_ = observe_checked(group, call, operands.inputs[0], "input");
      last_input_ = call.inputs[0];
      statistics_.inputs[call.module].merge(last_observed_);
    } else if (call.op == Op::kKvAppend) {
      statistics_.keys[call.module].merge(observe_checked(group, call, operands.inputs[0], "keys"));
      statistics_.values[call.module].merge(
          observe_checked(group, call, operands.inputs[1], "values"));
    }
    if (options_.observer) options_.observer(call, operands);
  }

  TensorStatistics observe_checked(const Group& group, const Call& call, const TensorView& tensor,
                                   const char* what) {
    const ObservedTensor observed = observe(tensor);
    if (observed.nonfinite > 0) {
      throw bad_file(model_.path.string(), call.module,
                     fmt::format("{} has {} values that are not finite in calibration sample {}",
                                 what, observed.nonfinite, first_bad_sample(group, tensor)));
    }
    return observed.statistics;
  }

  // The sample that the first row with a value that is not finite belongs to.
  static size_t first_bad_sample(const Group& group, const TensorView& tensor) {
    size_t sequence = 0;
    for (int64_t row = 0; row < tensor.rows(); ++row) {
      const TensorView one(tensor.data + row * tensor.row_stride * size_of(tensor.dtype),
                           tensor.dtype, {1, tensor.columns()});
      while (sequence + 1 < group.batch.query_start.size() &&
             group.batch.query_start[sequence + 1] <= row)
        ++sequence;
      if (observe(one).nonfinite > 0) break;
    }
    return group.first_sample + sequence;
  }

  const ModelDir& model_;
  const CalibrationOptions& options_;
  HostDevice device_;
  Program program_;
  std::vector<Lifetime> lives_;
  std::vector<Group> groups_;
  SymbolValues maxima_;
  std::unique_ptr<Interpreter> interpreter_;
  std::unique_ptr<StepBuffers> buffers_;
  CalibrationStatistics statistics_;
  TensorId last_input_ = kNoTensor;
  TensorStatistics last_observed_;
};

}  // namespace

CalibrationStatistics calibrate(const ModelDir& model,
                                const std::vector<std::vector<int32_t>>& samples,
                                const KernelRegistry& registry, ThreadPool& pool,
                                const CalibrationOptions& options) {
  OCTAVO_CHECK(!samples.empty() && options.batch_size > 0);
  return Calibration(model, samples, registry, pool, options).run();
}

}  // namespace octavo
