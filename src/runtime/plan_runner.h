// PlanRunner: the plans of an engine, bound to weights and caches; runs the one that fits a step.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "program/engine_image.h"
#include "program/interpreter.h"
#include "program/step_buffers.h"

namespace octavo {

class PlanRunner {
 public:
  // `maxima` with the number of cache blocks. Throws Error(kUnsupported) where a kernel named by
  // the engine does not exist here.
  // `comm`: of the image's rank; null where it runs alone.
  PlanRunner(std::shared_ptr<const EngineImage> image, const KernelRegistry& registry,
             Device& device, const SymbolValues& maxima, Communicator* comm = nullptr);

  // Bytes of device memory for activations and workspace, before any of it is allocated.
  static int64_t memory_bytes(const EngineImage& image, const KernelRegistry& registry,
                              const KernelTarget& target, const SymbolValues& maxima);

  // Binds inputs, and allocates the KV pool.
  void start(const StepBuffers& buffers);

  // The number of sequences that a decode step of this many is padded to; the same number where
  // padding gains nothing.
  int64_t padded(int64_t sequences) const;

  // Runs the smallest plan for a step of these sizes and returns its logits, which only the last
  // stage of a pipeline has. `is_decode`: each
  // sequence has one token. `before` runs first, within the same graph where there is one.
  TensorView run(const SymbolValues& sizes, bool is_decode, const std::function<void()>& before);

 private:
  struct Graph {
    bool ran = false;  // once without a graph, so that whatever kernels set up lazily is there
    std::unique_ptr<DeviceGraph> graph;
  };

  void bind_weights(Interpreter& interpreter) const;
  void bind_caches();
  size_t plan_for(const SymbolValues& sizes, bool is_decode) const;

  std::shared_ptr<const EngineImage> image_;
  Device& device_;
  SymbolValues maxima_;
  std::vector<std::unique_ptr<Interpreter>> interpreters_;  // one a plan
  std::vector<TensorId> logits_;                            // one a plan
  std::map<std::string_view, std::shared_ptr<std::byte[]>> caches_;
  std::map<std::pair<size_t, int64_t>, Graph> graphs_;  // by plan and number of sequences
};

}  // namespace octavo
