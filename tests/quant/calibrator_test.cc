// Layer-by-layer calibration against one run of the whole Program.
// SPDX-License-Identifier: Apache-2.0
#include "quant/calibrator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/host_device.h"
#include "model/edited_weights.h"
#include "model/tiny_moe.h"
#include "program/step_buffers.h"

namespace octavo {
namespace {

using Samples = std::vector<std::vector<int32_t>>;

// One of them longer than a block of the cache.
Samples samples() {
  Samples samples = {{0, 5, 9, 2}, {7}, {0, 60, 1, 33, 21, 8, 8}, {}, {4, 3}};
  for (int32_t i = 0; i < 45; ++i) samples[3].push_back(i % 40 + 10);
  return samples;
}

CalibrationStatistics run(const ModelDir& model, const CalibrationOptions& options,
                          int threads = 1) {
  ThreadPool pool(threads);
  HostDevice device(pool);
  return calibrate(model, samples(), cpu_registry(), device, options);
}

void expect_equal(const std::map<std::string, TensorStatistics>& a,
                  const std::map<std::string, TensorStatistics>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [module, statistics] : a) {
    ASSERT_TRUE(b.contains(module)) << module;
    EXPECT_EQ(statistics.amax, b.at(module).amax) << module;
    EXPECT_EQ(statistics.count, b.at(module).count) << module;
    EXPECT_EQ(statistics.exponents, b.at(module).exponents) << module;
  }
}

void expect_equal(const CalibrationStatistics& a, const CalibrationStatistics& b) {
  expect_equal(a.inputs, b.inputs);
  expect_equal(a.keys, b.keys);
  expect_equal(a.values, b.values);
  EXPECT_EQ(a.samples, b.samples);
  EXPECT_EQ(a.tokens, b.tokens);
}

// Statistics of one sample by the interpreter, all weights bound at once.
void observe_whole(const ModelDir& model, const std::vector<int32_t>& ids,
                   CalibrationStatistics& statistics) {
  const Program program = kLlama.emit(model.config, {});
  Batch batch;
  batch.table_width = 2;
  batch.append(ids, 0, {0, 1}, 32);
  for (size_t row = 0; row < ids.size(); ++row) batch.logit_rows.push_back(static_cast<int>(row));
  const SymbolValues sizes = batch.sizes(2);
  ThreadPool pool(1);
  HostDevice device(pool);
  Interpreter interpreter(program, first_candidates(program, cpu_registry(), sizes), sizes, device);
  StepBuffers inputs(sizes, device);
  inputs.bind_to(interpreter);
  inputs.upload(batch);
  std::vector<Tensor> owned;
  for (size_t i = 0; i < program.tensors.size(); ++i) {
    const ProgramTensor& tensor = program.tensors[i];
    const auto id = static_cast<TensorId>(i);
    if (tensor.kind == TensorKind::kCache || program.literals.contains(id)) {
      owned.emplace_back(tensor.dtype, evaluate(tensor.shape, sizes));
    } else if (tensor.kind == TensorKind::kWeight) {
      owned.push_back(read_tensor_as(*model.weights, tensor.name, tensor.dtype));
    } else {
      continue;
    }
    if (const auto it = program.literals.find(id); it != program.literals.end())
      std::copy(it->second.begin(), it->second.end(), owned.back().as<float>());
    interpreter.bind(id, owned.back().view());
  }
  const auto observer = [&](const Call& call, const Operands& operands) {
    if (call.op == Op::kLinear)
      statistics.inputs[call.module].merge(observe(operands.inputs[0]).statistics);
    if (call.op != Op::kKvAppend) return;
    statistics.keys[call.module].merge(observe(operands.inputs[0]).statistics);
    statistics.values[call.module].merge(observe(operands.inputs[1]).statistics);
  };
  interpreter.run(sizes, 0, program.calls.size(), observer);
  ++statistics.samples;
  statistics.tokens += std::ssize(ids);
}

TEST(Calibrator, EqualsAnObservationOfTheWholeProgram) {
  const ModelDir model = tiny_model();
  CalibrationStatistics expected;
  for (const std::vector<int32_t>& ids : samples()) observe_whole(model, ids, expected);
  expect_equal(run(model, {.observe_lm_head = true}), expected);
  EXPECT_EQ(expected.inputs.size(), 2u * 7 + 1);
  expected.inputs.erase("lm_head");
  expect_equal(run(model, {}), expected);
}

// The experts' statistics add up to those of the tokens, each counted top_k times.
TEST(Calibrator, ObservesEveryExpertByItself) {
  const CalibrationStatistics statistics = run(tiny_moe(), {.batch_size = 2});
  expect_equal(run(tiny_moe(), {}, /*threads=*/2), statistics);
  for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
    const std::string moe = layer + std::string("block_sparse_moe.");
    uint64_t count = 0;
    int64_t tokens = 0;
    float amax = 0;
    for (int64_t expert = 0; expert < kTinyExperts; ++expert) {
      const std::string w1 = fmt::format("{}experts.{}.w1", moe, expert);
      EXPECT_EQ(statistics.inputs.at(w1).amax,
                statistics.inputs.at(fmt::format("{}experts.{}.w3", moe, expert)).amax);
      EXPECT_TRUE(statistics.inputs.contains(fmt::format("{}experts.{}.w2", moe, expert)));
      count += statistics.inputs.at(w1).count;
      amax = std::max(amax, statistics.inputs.at(w1).amax);
      tokens += statistics.routed_tokens.at(w1);
    }
    EXPECT_EQ(tokens, 2 * statistics.tokens);
    EXPECT_EQ(count, 2 * statistics.inputs.at(moe + "gate").count);
    EXPECT_EQ(amax, statistics.inputs.at(moe + "gate").amax);
  }
}

TEST(Calibrator, BatchSizeAndThreadsDoNotMatter) {
  const ModelDir model = tiny_model();
  const CalibrationStatistics expected = run(model, {});
  for (const int64_t batch_size : {2, 3, 100}) {
    expect_equal(run(model, {.batch_size = batch_size}), expected);
  }
  expect_equal(run(model, {.batch_size = 2}, /*threads=*/3), expected);
}

TEST(Calibrator, ObserverSeesEveryCallOfEveryGroup) {
  int64_t linears = 0;
  run(tiny_model(), {.batch_size = 2, .observer = [&](const Call& call, const Operands&) {
                       linears += call.op == Op::kLinear ? 1 : 0;
                     }});
  EXPECT_EQ(linears, 3 * 2 * 7);
}

TEST(Calibrator, ReportsEachLayer) {
  std::vector<int64_t> done;
  run(tiny_model(), {.progress = [&](int64_t layer, int64_t total) {
        done.push_back(layer);
        EXPECT_EQ(total, 2);
      }});
  EXPECT_EQ(done, (std::vector<int64_t>{1, 2}));
}

TEST(Calibrator, AWeightThatIsNotFiniteIsNamed) {
  ModelDir model = tiny_model();
  const auto weights = std::make_shared<EditedWeights>(model.weights);
  weights->poke("model.layers.1.mlp.up_proj.weight", 5, std::numeric_limits<float>::infinity());
  model.weights = weights;
  try {
    run(model, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("model.layers.1.mlp.up_proj.weight: expected"));
  }
}

TEST(Calibrator, ANaNNamesModuleAndSample) {
  ModelDir model = tiny_model();
  const auto weights = std::make_shared<EditedWeights>(model.weights);
  // Token 33 stands in sample 2 alone.
  weights->poke("model.embed_tokens.weight", 33 * 32 + 1, std::numeric_limits<float>::quiet_NaN());
  model.weights = weights;
  Samples only = samples();
  only.erase(only.begin() + 3);
  for (const int64_t batch_size : {1, 2, 4}) {
    ThreadPool pool(1);
    HostDevice device(pool);
    try {
      calibrate(model, only, cpu_registry(), device,
                {.batch_size = batch_size, .allow_nonfinite = true});
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
      EXPECT_THAT(error.what(), testing::HasSubstr("model.layers.0.self_attn.q_proj: input has "));
      EXPECT_THAT(error.what(), testing::HasSubstr("in calibration sample 2"));
    }
  }
}

}  // namespace
}  // namespace octavo
