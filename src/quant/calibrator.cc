// Layer-by-layer calibration.
// SPDX-License-Identifier: Apache-2.0
#include "quant/calibrator.h"

#include <algorithm>
#include <map>

#include "core/checked.h"
#include "model/place_tensor.h"
#include "ops/grouped_linear.h"
#include "program/engine_image.h"
#include "program/interpreter.h"
#include "program/step_buffers.h"
#include "quant/hidden_states.h"
#include "quant/tensor_observer.h"

namespace octavo {
namespace {

// A few sequences that run as one step, with what they carry from layer to layer.
struct Group {
  Batch batch;
  SymbolValues sizes;
  size_t first_sample = 0;
  size_t num_samples = 0;
  HiddenStates carried;
};

// A tensor under observation, and where its statistics go.
struct Observation {
  std::string module;
  const char* what = "";
  std::vector<TensorStatistics*> targets;
};

class Calibration {
 public:
  Calibration(const ModelDir& model, const std::vector<std::vector<int32_t>>& samples,
              const KernelRegistry& registry, Device& device, const CalibrationOptions& options)
      : model_(model),
        options_(options),
        device_(device),
        kernels_(registry.beside(device)),
        program_(model.architecture->emit(model.config, {.dtype = options.dtype})),
        lives_(lifetimes(program_)) {
    make_groups(samples);
    interpreter_ = std::make_unique<Interpreter>(
        program_, first_candidates(program_, registry, maxima_, device), maxima_, device);
    buffers_ = std::make_unique<StepBuffers>(maxima_, device_);
    buffers_->bind_to(*interpreter_);
    observer_ = std::make_unique<TensorObserver>(device, kernels_, most_observations());
    budget_ = std::make_unique<SpillBudget>(hidden_state_budget());
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
      group.num_samples = end - first;
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

  // Of one group's run: a tensor a linear, those of each expert apart, and keys and values.
  size_t most_observations() const {
    int64_t most = 0;
    for (const Call& call : program_.calls)
      most += call.op == Op::kGroupedLinear ? program_.tensor(call.inputs[1]).shape[0].value : 2;
    return static_cast<size_t>(most);
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
    statistics_.peak_device_bytes =
        std::max(statistics_.peak_device_bytes, free_at_start_ - device_.free_memory());
    for (Group& group : groups_) {
      buffers_->upload(group.batch);
      for (const TensorId id : group.carried.ids())
        group.carried.restore(id, interpreter_->view(id, group.sizes), device_);
      last_input_ = kNoTensor;
      interpreter_->run(group.sizes, begin, end, [&](const Call& call, const Operands& operands) {
        see(group, call, operands);
      });
      carry(group, end);
      harvest(group);
    }
    device_.synchronize();  // the layer's weights are about to go
    statistics_.spilled_bytes = budget_->spilled_bytes();
  }

  // Room for the weights of the largest layer stays free beside the hidden states.
  int64_t hidden_state_budget() const {
    const int64_t free = options_.max_memory > 0
                             ? options_.max_memory - (free_at_start_ - device_.free_memory())
                             : device_.free_memory() / 10 * 9;
    return std::max<int64_t>(0, free - largest_layer_bytes());
  }

  int64_t largest_layer_bytes() const {
    std::map<int, int64_t> bytes;
    for (const Call& call : program_.calls) {
      for (const TensorId id : call.inputs) {
        if (id == kNoTensor) continue;
        const ProgramTensor& tensor = program_.tensor(id);
        if (tensor.kind == TensorKind::kWeight || tensor.kind == TensorKind::kCache)
          bytes[call.layer] += evaluate(tensor.shape, maxima_).elements() * size_of(tensor.dtype);
      }
    }
    int64_t largest = 0;
    for (const auto& [layer, sum] : bytes) largest = std::max(largest, sum);
    return largest;
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
        const Shape shape = evaluate(tensor.shape, maxima_);
        bound.emplace_back(device_.allocate(shape.elements() * size_of(tensor.dtype)), 0,
                           tensor.dtype, shape);
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
    const ProgramTensor& wanted = program_.tensor(id);
    const auto literal = program_.literals.find(id);
    if (literal != program_.literals.end()) {
      Tensor tensor(DType::kF32, {std::ssize(literal->second)});
      std::copy(literal->second.begin(), literal->second.end(), tensor.as<float>());
      return on_device(std::move(tensor), device_);
    }
    const Shape shape = evaluate(wanted.shape, maxima_);
    Tensor weight(device_.allocate(shape.elements() * size_of(wanted.dtype)), 0, wanted.dtype,
                  shape);
    int64_t bytes = 0;
    for (const std::string& name : checkpoint_names(wanted.name, shape[0])) {
      const int64_t left = (weight.bytes() - bytes) / size_of(wanted.dtype);
      bytes += place_tensor(*model_.weights, name,
                            TensorView(weight.data() + bytes, wanted.dtype, {left}), device_,
                            kernels_, [&](const TensorView& read) {
                              if (!options_.allow_nonfinite)
                                require_finite(*model_.weights, name, read, kAllowNonFiniteHint);
                            });
      if (bytes > weight.bytes()) break;
    }
    if (bytes != weight.bytes())
      throw bad_file(model_.weights->file_of(wanted.name), wanted.name,
                     fmt::format("expected {} bytes, got {}", weight.bytes(), bytes));
    return weight;
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
      group.carried.save(id, interpreter_->view(id, group.sizes), device_, *budget_);
    }
  }

  void see(const Group& group, const Call& call, const Operands& operands) {
    if (call.op == Op::kLinear) {
      // q, k and v read one tensor, gate and up another: each is observed once.
      if (call.inputs[0] != last_input_) observe_tensor(group, call, operands.inputs[0], "input");
      last_input_ = call.inputs[0];
      observations_.back().targets.push_back(&statistics_.inputs[call.module]);
    } else if (call.op == Op::kGroupedLinear) {
      observe_experts(group, call, GroupedLinearArgs::bind(operands));
    } else if (call.op == Op::kKvAppend) {
      observe_tensor(group, call, operands.inputs[0], "keys");
      observations_.back().targets.push_back(&statistics_.keys[call.module]);
      observe_tensor(group, call, operands.inputs[1], "values");
      observations_.back().targets.push_back(&statistics_.values[call.module]);
    }
    if (options_.observer) options_.observer(call, operands);
  }

  // Where experts' rows begin, as the host can read it until the next call. Waits for the device.
  TensorView offsets_on_host(const TensorView& offsets) {
    if (offsets_bytes_ < offsets.bytes()) {
      offsets_bytes_ = offsets.bytes();
      offsets_ = device_.allocate_staging(offsets_bytes_);
    }
    device_.download(offsets_.get(), offsets.data, offsets.bytes());
    device_.synchronize();
    return TensorView(offsets_.get(), offsets.dtype, offsets.shape);
  }

  // Every expert's rows by themselves; an expert without any leaves empty statistics.
  void observe_experts(const Group& group, const Call& call, GroupedLinearArgs args) {
    args.offsets = offsets_on_host(args.offsets);
    const std::vector<std::string> modules = checkpoint_names(call.module, args.experts());
    for (int64_t expert = 0; expert < args.experts(); ++expert) {
      const std::string& module = modules[static_cast<size_t>(expert)];
      const LinearArgs one = args.expert(expert);
      TensorStatistics* target = &statistics_.inputs[module];
      statistics_.routed_tokens[module] += one.x.rows();
      if (one.x.rows() == 0) continue;
      Call of_expert = call;
      of_expert.module = module;
      observe_tensor(group, of_expert, one.x, "input");
      observations_.back().targets.push_back(target);
    }
  }

  // The host looks at once, and so can name the sample of a bad value.
  void observe_tensor(const Group& group, const Call& call, const TensorView& tensor,
                      const char* what) {
    observations_.push_back({.module = call.module, .what = what});
    const ObservedTensor* observed = observer_->observe(tensor);
    if (observed != nullptr && observed->nonfinite > 0)
      throw not_finite(observations_.back(), *observed, first_bad_sample(group, call, tensor));
  }

  Error not_finite(const Observation& observation, const ObservedTensor& observed,
                   size_t sample) const {
    return bad_file(model_.path.string(), observation.module,
                    fmt::format("{} has {} values that are not finite in calibration sample {}",
                                observation.what, observed.nonfinite, sample));
  }

  // Reads what this group's run showed.
  void harvest(const Group& group) {
    const std::vector<ObservedTensor> observed = observer_->finish();
    OCTAVO_CHECK(observed.size() == observations_.size());
    for (size_t i = 0; i < observed.size(); ++i) {
      if (observed[i].nonfinite > 0)
        throw not_finite(observations_[i], observed[i], group.first_sample);
      for (TensorStatistics* target : observations_[i].targets)
        target->merge(observed[i].statistics);
    }
    observations_.clear();
  }

  // The sample that the first row with a value that is not finite belongs to.
  // Rows that are grouped by expert do not tell; the first of the group stands for it.
  static size_t first_bad_sample(const Group& group, const Call& call, const TensorView& tensor) {
    if (call.op == Op::kGroupedLinear) return group.first_sample;
    size_t sequence = 0;
    for (int64_t row = 0; row < tensor.rows(); ++row) {
      const TensorView one(tensor.data + row * tensor.row_stride * size_of(tensor.dtype),
                           tensor.dtype, {1, tensor.columns()});
      while (sequence + 1 < group.batch.query_start.size() &&
             group.batch.query_start[sequence + 1] <= row)
        ++sequence;
      if (octavo::observe(one).nonfinite > 0) break;
    }
    return group.first_sample + sequence;
  }

  const ModelDir& model_;
  const CalibrationOptions& options_;
  Device& device_;
  const DeviceKernels* kernels_;
  int64_t free_at_start_ = device_.free_memory();
  Program program_;
  std::vector<Lifetime> lives_;
  std::vector<Group> groups_;
  SymbolValues maxima_;
  std::unique_ptr<Interpreter> interpreter_;
  std::unique_ptr<StepBuffers> buffers_;
  std::unique_ptr<TensorObserver> observer_;
  std::unique_ptr<SpillBudget> budget_;
  CalibrationStatistics statistics_;
  TensorId last_input_ = kNoTensor;
  std::vector<Observation> observations_;  // of the group that runs
  std::shared_ptr<std::byte[]> offsets_;   // of experts' rows, on the host
  int64_t offsets_bytes_ = 0;
};

}  // namespace

CalibrationStatistics calibrate(const ModelDir& model,
                                const std::vector<std::vector<int32_t>>& samples,
                                const KernelRegistry& registry, Device& device,
                                const CalibrationOptions& options) {
  OCTAVO_CHECK(!samples.empty() && options.batch_size > 0);
  return Calibration(model, samples, registry, device, options).run();
}

}  // namespace octavo
