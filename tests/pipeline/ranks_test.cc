// Several ranks are the same model: stages bit for bit, tensor parallel ranks but for the order of
// their sums.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "api/devices.h"
#include "api/registry.h"
#include "builder/build.h"
#include "model/edited_weights.h"
#include "model/tiny_moe.h"
#include "pipeline/pipeline_case.h"
#include "runtime/runner.h"

namespace octavo {
namespace {

using testing::HasSubstr;
using Logits = std::vector<float>;

enum class Model { kPocketLlama, kTiny70b, kTinyMoe };  // the embedded one; shapes, dummy weights
struct Case {
  Model model;
  bool fp8 = false;  // linears and KV cache
};

ModelDir model_of(const Case& one) {
  if (one.model == Model::kPocketLlama)
    return open_model_dir(one.fp8 ? quantized_dir() : kModelDir);
  CheckpointQuantization quantization;
  if (one.fp8) {
    quantization.method = "modelopt";
    quantization.weights = quantization.kv_cache.emplace(kFp8PerTensor);
    quantization.exclude_modules = {"lm_head"};
  }
  if (one.model == Model::kTinyMoe) return tiny_moe(quantization);
  return open_model_dir(OCTAVO_SOURCE_DIR "/configs/tiny-70b", LoadFormat::kDummy, quantization);
}

Logits logits_of(const ModelDir& model, int64_t tp_size, int64_t pp_size) {
  BuildConfig config = small_build();
  config.dtype = "float32";
  config.max_batch_size = 1;
  config.max_num_tokens = 16;  // several steps
  config.tp_size = tp_size;
  config.pp_size = pp_size;
  ThreadPool pool(2);
  const auto devices = open_devices("cpu", pool, tp_size * pp_size);
  std::vector<RankImage> ranks;
  for (Blueprint& rank : make_blueprints(model, config, kernel_registry())) {
    const auto& device = devices[ranks.size()];
    ranks.push_back({std::make_shared<EngineImage>(
                         build_image(model, std::move(rank), kernel_registry(), device.get())),
                     device});
  }
  Runner runner(std::move(ranks), kernel_registry(), {.num_blocks = 4});
  TokenIds ids;
  const auto vocabulary = static_cast<int32_t>(model.config.vocab_size);
  for (int32_t i = 0; i < 21; ++i) ids.push_back(6 + 131 * i % std::min(4000, vocabulary - 6));
  Logits all;
  runner.visit_logits(ids, [&](int64_t, std::span<const float> row) {
    all.insert(all.end(), row.begin(), row.end());
  });
  return all;
}

double largest_difference(const Logits& a, const Logits& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(a[i]) - b[i]));
  return largest;
}

double spread(const Logits& logits) {
  double sum = 0;
  for (const float logit : logits) sum += static_cast<double>(logit) * logit;
  return std::sqrt(sum / static_cast<double>(logits.size()));
}

// What ranks sum is o and down. Whatever the order of summing K products in float32, the result is
// the exact sum of products each of which is off by a relative error of at most γ = K u / (1 - K
// u), u = 2⁻²⁴: two orders differ by no more than 2 γ of every product. The model with weights (or,
// of codes, the scale) of each such linear changed by 2 γ with random signs shows how far that
// reaches in the logits.
ModelDir with_changed_products(const ModelDir& model, unsigned seed) {
  ModelDir changed = model;
  const auto weights = std::make_shared<EditedWeights>(model.weights);
  std::mt19937 random(seed);
  for (const ModelTensor& tensor : model_tensors(*model.architecture, model.config)) {
    if (tensor.role != Role::kO && tensor.role != Role::kDown) continue;
    const double ku = static_cast<double>(tensor.shape[1]) * 0x1p-24;
    const auto change = static_cast<float>(2 * ku / (1 - ku));
    const bool codes = model.weights->info(tensor.name)->dtype == DType::kE4M3;
    const std::string name = codes ? tensor.module + ".weight_scale" : tensor.name;
    const Tensor values = read_tensor_as(*model.weights, name, DType::kF32);
    for (int64_t i = 0; i < values.shape().elements(); ++i)
      values.as<float>()[i] *= 1.0f + (random() % 2 == 0 ? change : -change);
    weights->replace(name, values);
  }
  changed.weights = weights;
  return changed;
}

class Ranks : public testing::TestWithParam<Case> {};

TEST_P(Ranks, StagesAreBitEqualAndTensorParallelRanksWithinTheBoundOfTheirSums) {
  const ModelDir model = model_of(GetParam());
  const Logits one = logits_of(model, 1, 1);
  EXPECT_EQ(logits_of(model, 1, 2), one);
  double bound = 0;
  for (const unsigned seed : {1u, 2u})
    bound = std::max(bound,
                     largest_difference(logits_of(with_changed_products(model, seed), 1, 1), one));
  // A bound that lets everything pass shows nothing.
  EXPECT_LT(bound, (GetParam().fp8 ? 0.5 : 0.05) * spread(one));
  for (const auto& [tp, pp] : {std::pair{2, 1}, {4, 1}, {2, 2}}) {
    const double difference = largest_difference(logits_of(model, tp, pp), one);
    EXPECT_LE(difference, bound) << "TP " << tp << ", PP " << pp;
    EXPECT_GT(difference, 0) << "the order of summation changed nothing";
    RecordProperty(fmt::format("difference_tp{}_pp{}", tp, pp), fmt::format("{:.3g}", difference));
  }
  RecordProperty("bound", fmt::format("{:.3g}", bound));
}

std::string name_of(const testing::TestParamInfo<Case>& info) {
  constexpr const char* kNames[] = {"PocketLlama", "Tiny70b", "TinyMoe"};
  return std::string(kNames[static_cast<int>(info.param.model)]) +
         (info.param.fp8 ? "Fp8" : "Float32");
}

INSTANTIATE_TEST_SUITE_P(Models, Ranks,
                         testing::Values(Case{Model::kPocketLlama, false},
                                         Case{Model::kPocketLlama, true},
                                         Case{Model::kTiny70b, false}, Case{Model::kTiny70b, true},
                                         Case{Model::kTinyMoe, false}),
                         name_of);

// Several sequences of different lengths, block reuse and all: the scheduler knows of no ranks.
TEST(RankTokens, StagesAndEngineFilesGiveTheTokensOfOneRank) {
  const std::vector<TokenIds> some = prompts(9);
  ModelOptions model = model_options(quantized_dir(), 2);
  const std::vector<TokenIds> one = greedy(model, some);
  model.build_config.pp_size = 3;
  EXPECT_EQ(greedy(model, some), one);
  const std::filesystem::path engine = scratch_dir() / "engine_2x2";
  model.build_config.pp_size = model.build_config.tp_size = 2;
  SilentProgress silent;
  build({.checkpoint_dir = quantized_dir(), .output_dir = engine, .config = model.build_config},
        silent);
  for (int rank = 0; rank < 4; ++rank)
    EXPECT_TRUE(std::filesystem::exists(engine / fmt::format("rank{}.engine", rank)));
  EXPECT_EQ(greedy({.engine_dir = engine, .threads = 2}, some), greedy(model, some));
}

TEST(RankTokens, WhatCannotBeSharedIsRefusedWithWhatCan) {
  const auto refusal = [](int64_t tp_size, int64_t pp_size) -> std::string {
    ModelOptions model = model_options(kModelDir);
    model.build_config.tp_size = tp_size;
    model.build_config.pp_size = pp_size;
    SilentProgress silent;
    try {
      LLM llm(model, {}, silent);
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refusal(3, 1), HasSubstr("this model takes 1, 2, 4, 8"));
  EXPECT_THAT(refusal(1, 7), HasSubstr("the model has 6 layers"));
  EXPECT_THAT(refusal(4, 3), HasSubstr("needs 12 devices, this machine offers 8"));
}

}  // namespace
}  // namespace octavo
