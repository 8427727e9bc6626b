// Timing of whole layers.
// SPDX-License-Identifier: Apache-2.0
#include "builder/layer_timer.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

#include "builder/microseconds.h"
#include "builder/random_memory.h"
#include "core/checked.h"
#include "program/rewrite.h"
#include "program/step_buffers.h"

namespace octavo {
namespace {

constexpr int kLayers = 16;                              // in a graph
constexpr int kRounds = 7;                               // in turns; the first warms up
constexpr int64_t kMostKeys = 2048;                      // of a sequence
constexpr int64_t kMostCacheBytes = int64_t{512} << 20;  // of k or v
constexpr int64_t kAlignment = 1024;

// What a decode step reads that is not written within the layer.
class LayerStep {
 public:
  LayerStep(const Program& program, SymbolValues sizes, Device& device) : program_(program) {
    int64_t block_bytes = 0;
    for (const ProgramTensor& tensor : program.tensors) {
      if (tensor.kind != TensorKind::kCache) continue;
      block_tokens_ = tensor.shape[2].value;
      block_bytes = bytes_of(tensor, {.cache_blocks = 1});
    }
    pages_ = std::max<int64_t>(sizes.table_width, 1);
    if (block_bytes > 0) {
      const int64_t affordable = kMostCacheBytes / (block_bytes * sizes.sequences);
      pages_ =
          std::clamp<int64_t>(std::min(affordable, ceil_div(kMostKeys, block_tokens_)), 1, pages_);
    }
    sizes.cache_blocks = sizes.sequences * pages_;
    sizes_ = sizes;
    inputs_.emplace(sizes, device);
    upload(device);
    int64_t bytes = 0;
    for_bound([&](TensorId, const ProgramTensor& tensor) { bytes += bytes_of(tensor, sizes_); });
    memory_ = random_memory(device, bytes);
  }

  const SymbolValues& sizes() const { return sizes_; }

  void bind_to(Interpreter& interpreter) const {
    int64_t at = 0;
    for_bound([&](TensorId id, const ProgramTensor& tensor) {
      interpreter.bind(
          id, TensorView(memory_.get() + at, tensor.dtype, evaluate(tensor.shape, sizes_)));
      at += bytes_of(tensor, sizes_);
    });
    inputs_->bind_to(interpreter);  // the step's own, over what was bound for them above
  }

 private:
  static int64_t bytes_of(const ProgramTensor& tensor, const SymbolValues& sizes) {
    const int64_t elements = evaluate(tensor.shape, sizes).elements();
    return round_up(std::max<int64_t>(elements * size_of(tensor.dtype), 1), kAlignment);
  }

  template <typename Function>
  void for_bound(Function&& function) const {
    for (size_t i = 0; i < program_.tensors.size(); ++i) {
      if (program_.tensors[i].kind != TensorKind::kActivation)
        function(static_cast<TensorId>(i), program_.tensors[i]);
    }
  }

  void upload(Device& device) {
    Batch batch;
    batch.table_width = sizes_.table_width;
    for (int64_t i = 0; i < sizes_.sequences; ++i) {
      std::vector<int32_t> blocks;
      for (int64_t page = 0; page < pages_; ++page)
        blocks.push_back(static_cast<int32_t>(i * pages_ + page));
      batch.append({1}, static_cast<int32_t>(pages_ * block_tokens_ - 1), blocks, block_tokens_);
      batch.logit_rows.push_back(static_cast<int32_t>(i));
    }
    inputs_->upload(batch);
    device.synchronize();
  }

  const Program& program_;
  SymbolValues sizes_;
  int64_t block_tokens_ = 1, pages_ = 1;
  std::optional<StepBuffers> inputs_;
  std::shared_ptr<std::byte[]> memory_;
};

}  // namespace

LayerProgram middle_layer(const Program& program) {
  std::vector<int> layers;  // of this stage
  for (const Call& call : program.calls) {
    if (call.role == Role::kAttention) layers.push_back(call.layer);
  }
  const int middle = layers.empty() ? -2 : layers[layers.size() / 2];
  const auto is_in = [&](const Call& call) { return call.layer == middle; };
  LayerProgram layer{.program = program};
  const auto begin = std::ranges::find_if(program.calls, is_in);
  layer.first = static_cast<size_t>(begin - program.calls.begin());
  const auto end = std::find_if_not(begin, program.calls.end(), is_in);
  layer.program.calls.assign(begin, end);
  layer.program.outputs.clear();
  layer.program.literals.clear();
  std::set<TensorId> written;
  for (const Call& call : layer.program.calls) {
    for (const TensorId id : call.inputs) {
      if (id == kNoTensor) continue;
      ProgramTensor& tensor = layer.program.tensor(id);
      const TensorId storage = tensor.base == kNoTensor ? id : tensor.base;
      if (tensor.kind != TensorKind::kActivation || written.contains(storage)) continue;
      tensor.kind = TensorKind::kInput;
      tensor.base = kNoTensor;
      tensor.column = 0;
      tensor.name = "before." + tensor.name;
    }
    for (const TensorId id : call.outputs) {
      const TensorId base = layer.program.tensor(id).base;
      written.insert(base == kNoTensor ? id : base);
    }
  }
  remove_dead_tensors(layer.program);
  return layer;
}

std::vector<double> LayerTimer::time(const Program& program, std::span<const Kernel* const> kernels,
                                     SymbolValues sizes,
                                     std::span<const std::vector<std::string>> tactics) const {
  device_.activate();
  const LayerProgram layer = middle_layer(program);
  const size_t calls = layer.program.calls.size();
  const LayerStep step(layer.program, sizes, device_);
  Interpreter interpreter(layer.program,
                          {kernels.begin() + static_cast<ptrdiff_t>(layer.first),
                           kernels.begin() + static_cast<ptrdiff_t>(layer.first + calls)},
                          step.sizes(), device_);
  step.bind_to(interpreter);
  std::vector<std::unique_ptr<DeviceGraph>> graphs;
  for (const std::vector<std::string>& each : tactics) {
    const auto run = [&interpreter, &step, own = std::span(each).subspan(layer.first, calls)] {
      interpreter.set_tactics(own);
      for (int i = 0; i < kLayers; ++i) interpreter.run(step.sizes());
    };
    run();
    graphs.push_back(device_.capture(run));
  }
  std::vector<double> best(tactics.size(), std::numeric_limits<double>::infinity());
  for (int round = 0; round < kRounds; ++round) {
    for (size_t i = 0; i < graphs.size(); ++i) {
      device_.synchronize();
      const double start = microseconds();
      graphs[i]->launch();
      device_.synchronize();
      if (round > 0) best[i] = std::min(best[i], (microseconds() - start) / kLayers);
    }
  }
  return best;
}

}  // namespace octavo
