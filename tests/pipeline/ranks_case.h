// What the tests of several ranks share: models, their logits, and the bound of a changed order of
// summation.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "api/devices.h"
#include "api/registry.h"
#include "builder/build.h"
#include "builder/tuning_records.h"
#include "model/edited_weights.h"
#include "model/tiny_moe.h"
#include "pipeline/pipeline_case.h"
#include "runtime/runner.h"

namespace octavo {

using Logits = std::vector<float>;

enum class RankedModel {
  kPocketLlama,
  kTiny70b,
  kTinyMoe
};  // the embedded one; shapes, dummy weights
struct RanksCase {
  std::string name;
  RankedModel model;
  LinearScheme linears = {};  // where they are quantized, the KV cache is FP8
};

// fp8_block with blocks that a tiny model has several of.
inline LinearScheme blocks_of(int64_t size) {
  LinearScheme scheme = kFp8Block;
  scheme.weights.block_rows = size;
  scheme.weights.block_columns = scheme.inputs.block_columns = size;
  return scheme;
}

inline ModelDir model_of(const RanksCase& one) {
  if (one.model == RankedModel::kPocketLlama)
    return open_model_dir(one.linears.quantized() ? quantized_dir() : kModelDir);
  CheckpointQuantization quantization;
  if (one.linears.quantized()) {
    quantization.method = "modelopt";
    quantization.weights = one.linears.weights;
    quantization.inputs = one.linears.inputs;
    quantization.kv_cache = kFp8PerTensor;
    quantization.exclude_modules = {"lm_head"};
  }
  if (one.model == RankedModel::kTinyMoe) return tiny_moe(quantization);
  return open_model_dir(OCTAVO_SOURCE_DIR "/configs/tiny-70b", LoadFormat::kDummy, quantization);
}

struct RanksRun {
  std::string device = "cpu";
  std::string dtype = "float32";
  bool reduce_fusion = false;
  bool user_buffer = false;
  bool sharded = false;  // residuals between sums of ranks, where nothing measures whether they are
};

// Kernels are measured once in a test program, so that every build of it chooses the same.
inline TuningRecords& measured_once(const Device& device) {
  static TuningRecords records(device.properties(), {});
  return records;
}

inline std::vector<RankImage> ranks_of(const ModelDir& model, const BuildConfig& config,
                                       ThreadPool& pool) {
  const auto devices = open_devices(config.device, pool, config.tp_size * config.pp_size);
  const std::unique_ptr<GroupTimer> group = open_group_timer(config, pool);
  std::vector<Blueprint> blueprints = make_blueprints(
      model, config, kernel_registry(), devices.front().get(),
      {.records = config.device == "cpu" ? nullptr : &measured_once(*devices.front()),
       .group = group.get()});
  const auto comms = open_comms(devices, blueprints.front().config);
  std::vector<RankImage> ranks;
  for (Blueprint& rank : blueprints) {
    const size_t i = ranks.size();
    ranks.push_back({std::make_shared<EngineImage>(
                         build_image(model, std::move(rank), kernel_registry(), devices[i].get())),
                     devices[i], comms[i]});
  }
  return ranks;
}

// The same on the host with every fusion that competes on ranks, as if measured to be faster.
inline std::vector<RankImage> sharded_ranks_of(const ModelDir& model, const BuildConfig& config,
                                               ThreadPool& pool) {
  std::vector<Fusion> fusions(fusion_table().begin(), fusion_table().end());
  for (Fusion& fusion : fusions) {
    if (fusion.competition == Competition::kBetweenRanks) fusion.competition = Competition::kNone;
  }
  const auto devices = open_devices("cpu", pool, config.tp_size * config.pp_size);
  std::vector<RankImage> ranks;
  for (const auto& device : devices) {
    Blueprint rank =
        make_blueprint(model, config, kernel_registry(), nullptr, fusions, std::ssize(ranks));
    ranks.push_back({std::make_shared<EngineImage>(
                         build_image(model, std::move(rank), kernel_registry(), device.get())),
                     device});
  }
  return ranks;
}

inline Logits logits_of(const ModelDir& model, int64_t tp_size, int64_t pp_size,
                        const RanksRun& run = {}) {
  BuildConfig config = small_build();
  config.device = run.device;
  config.dtype = run.dtype;
  config.max_batch_size = 1;
  config.max_num_tokens = 16;  // several steps
  config.plugin_config.reduce_fusion = run.reduce_fusion;
  config.plugin_config.user_buffer = run.user_buffer;
  config.tp_size = tp_size;
  config.pp_size = pp_size;
  ThreadPool pool(2);
  Runner runner(run.sharded ? sharded_ranks_of(model, config, pool) : ranks_of(model, config, pool),
                kernel_registry(), {.num_blocks = 16});
  TokenIds ids;
  const auto vocabulary = static_cast<int32_t>(model.config.vocab_size);
  for (int32_t i = 0; i < 21; ++i) ids.push_back(6 + 131 * i % std::min(4000, vocabulary - 6));
  Logits all;
  runner.visit_logits(ids, [&](int64_t, std::span<const float> row) {
    all.insert(all.end(), row.begin(), row.end());
  });
  return all;
}

inline double largest_difference(const Logits& a, const Logits& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(a[i]) - b[i]));
  return largest;
}

inline double spread(const Logits& logits) {
  double sum = 0;
  for (const float logit : logits) sum += static_cast<double>(logit) * logit;
  return std::sqrt(sum / static_cast<double>(logits.size()));
}

// What ranks sum is o and down. Whatever the order of summing K products in float32, the result is
// the exact sum of products each of which is off by a relative error of at most γ = K u / (1 - K
// u), u = 2⁻²⁴: two orders differ by no more than 2 γ of every product. The model with weights (or,
// of codes, the scale) of each such linear changed by 2 γ with random signs shows how far that
// reaches in the logits.
// `more`: what else each product may be off by.
inline ModelDir with_changed_products(const ModelDir& model, unsigned seed, double more = 0) {
  ModelDir changed = model;
  const auto weights = std::make_shared<EditedWeights>(model.weights);
  std::mt19937 random(seed);
  for (const ModelTensor& tensor : model_tensors(*model.architecture, model.config)) {
    if (tensor.role != Role::kO && tensor.role != Role::kDown) continue;
    const double ku = static_cast<double>(tensor.shape[1]) * 0x1p-24;
    const auto change = static_cast<float>(2 * (ku / (1 - ku) + more));
    const bool codes = is_code(model.weights->info(tensor.name)->dtype);
    const std::string name = codes ? tensor.module + ".weight_scale" : tensor.name;
    const Tensor values = read_tensor_as(*model.weights, name, DType::kF32);
    for (int64_t i = 0; i < values.shape().elements(); ++i)
      values.as<float>()[i] *= 1.0f + (random() % 2 == 0 ? change : -change);
    weights->replace(name, values);
  }
  changed.weights = weights;
  return changed;
}

}  // namespace octavo
