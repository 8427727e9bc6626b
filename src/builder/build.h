// Builder: from a checkpoint to an engine: quantization, fusions, kernel choice, weights.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "builder/build_options.h"
#include "builder/fusion.h"
#include "builder/group_timer.h"
#include "builder/kernel_timer.h"
#include "model/model_dir.h"
#include "model/sliced_weights.h"
#include "program/engine_image.h"

namespace octavo {

// The Program as the checkpoint's precision makes it, before any fusion.
Draft draft_program(const ModelDir& model, const BuildConfig& options);

// Everything but the weights: checked options, plans with kernels, limits. Nothing of a weight but
// its scales is read.
struct Blueprint {
  EngineConfig config;
  std::vector<Plan> plans;
  std::vector<std::string> notices;
  // Weights of the plans, with where each comes from.
  struct Weight {
    std::string name;
    WeightInfo info;
    std::vector<std::string> parts;  // checkpoint tensors whose rows it concatenates
    std::vector<float> literal;      // or its values
  };
  std::vector<Weight> weights;
  // Where the model is shared by several ranks: which one this is, and its part of the tensors.
  int64_t rank = 0;
  WeightSlices slices;

  int64_t weight_bytes() const;
};

// What measures kernels; null: a timer of the device's own, and nothing that is between ranks.
struct Timers {
  KernelTimer* kernels = nullptr;
  GroupTimer* group = nullptr;
  int64_t devices = 0;  // that ranks may have one of each; 0: those of this machine
};

// With a `device` that has graphs, kernels are measured on it, by `timers` where they are given.
// `fusions` run in their order where the options enable them; without any, the Program is its own
// oracle.
Blueprint make_blueprint(const ModelDir& model, const BuildConfig& options,
                         const KernelRegistry& registry, Device* device = nullptr,
                         std::span<const Fusion> fusions = fusion_table(), int64_t rank = 0,
                         const Timers& timers = {});

// What the ranks of a build share.
struct BuildMachine {
  TuningRecords* records = nullptr;  // take what is measured, and are saved
  GroupTimer* group = nullptr;       // measures calls between ranks
  int64_t devices = 0;               // as in Timers
};

// Those of all ranks, in order; the first holds the notices.
std::vector<Blueprint> make_blueprints(const ModelDir& model, const BuildConfig& options,
                                       const KernelRegistry& registry, Device* device = nullptr,
                                       const BuildMachine& machine = {});

// One weight of the blueprint as the engine stores it.
Tensor build_weight(const Blueprint::Weight& weight, const WeightSource& source);
// The same in the memory of a device, with the kernels that it has beside the ops.
Tensor build_weight(const Blueprint::Weight& weight, const WeightSource& source, Device& device,
                    const DeviceKernels* kernels);

// The engine of a blueprint in memory: the weights end on `device`, or on the host where it is
// null. `progress` is called with (weights done, weights in all).
EngineImage build_image(const ModelDir& model, Blueprint blueprint, const KernelRegistry& registry,
                        Device* device,
                        const std::function<void(int64_t, int64_t)>& progress = nullptr);
EngineImage build_image(const ModelDir& model, const BuildConfig& options,
                        const KernelRegistry& registry, Device* device = nullptr,
                        const std::function<void(int64_t, int64_t)>& progress = nullptr);

}  // namespace octavo
