// Blueprints and images: plans, weights, limits.
// SPDX-License-Identifier: Apache-2.0
#include "builder/build.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

#include "builder/draft_support.h"
#include "comm/local.h"
#include "model/tiny_moe.h"

namespace octavo {
namespace {

using testing::HasSubstr;

const Blueprint::Weight& weight_named(const Blueprint& blueprint, std::string_view name) {
  for (const Blueprint::Weight& weight : blueprint.weights) {
    if (weight.name == name) return weight;
  }
  throw std::out_of_range(std::string(name));
}

TEST(Build, PlanOfTheFusedProgram) {
  const Blueprint blueprint = make_blueprint(tiny_model(fp8_with_kv_cache()), {}, cpu_registry());
  ASSERT_EQ(blueprint.plans.size(), 1u);
  const Plan& plan = blueprint.plans[0];
  EXPECT_EQ(plan.kernels.size(), plan.program.calls.size());
  // norm, qkv, rope + append, attention, o, norm, gate + up, swiglu, down.
  EXPECT_EQ(std::ranges::count(plan.program.calls, 0, &Call::layer), 9 + 1);  // and layer 1's norm
  EXPECT_TRUE(plan.program.literals.empty());
  EXPECT_EQ(plan.program.find("model.layers.0.self_attn.q_proj.weight"), kNoTensor);
  EXPECT_NO_THROW(validate(plan.program));
}

TEST(Build, WeightsAreNamedOnceAndCounted) {
  const Blueprint blueprint = make_blueprint(tiny_model(fp8_with_kv_cache()), {}, cpu_registry());
  std::set<std::string> names;
  int64_t bytes = 0;
  for (const Blueprint::Weight& weight : blueprint.weights) {
    EXPECT_TRUE(names.insert(weight.name).second) << weight.name;
    bytes += build_weight(weight, *tiny_model(fp8_with_kv_cache()).weights).bytes();
  }
  EXPECT_EQ(bytes, blueprint.weight_bytes());
  EXPECT_EQ(weight_named(blueprint, "rope.inverse_frequency").literal.size(), 4u);
  EXPECT_EQ(weight_named(blueprint, "model.layers.0.mlp.gate_up_proj.weight_scale").parts.size(),
            2u);
}

TEST(Build, NoWeightIsReadForABlueprintButItsScales) {
  ModelDir model = tiny_model(fp8_with_kv_cache());
  const auto weights = std::make_shared<EditedWeights>(model.weights);
  model.weights = weights;
  make_blueprint(model, {}, cpu_registry());
  EXPECT_FALSE(weights->reads.empty());
  for (const std::string& name : weights->reads) EXPECT_TRUE(name.ends_with("_scale")) << name;
}

TEST(Build, RefusalsComeBeforeAnyRead) {
  ModelDir model = tiny_model(fp8_with_kv_cache());
  const auto weights = std::make_shared<EditedWeights>(model.weights);
  model.weights = weights;
  EXPECT_THROW(make_blueprint(model, {.plugin_config = {.user_buffer = true}}, cpu_registry()),
               Error);
  EXPECT_TRUE(weights->reads.empty());
}

// As on a device whose table lacks the kernels of a scheme.
TEST(Build, ASchemeWithoutKernelsIsRefusedByName) {
  KernelRegistry few;
  std::vector<Kernel> kernels(cpu_kernels().begin(), cpu_kernels().end());
  std::erase_if(kernels, [](const Kernel& kernel) { return kernel.op == Op::kQuantizeDynamic; });
  few.add(kernels);
  CheckpointQuantization quantization = fp8_with_kv_cache();
  quantization.weights = kFp8PerChannelPerToken.weights;
  quantization.inputs = kFp8PerChannelPerToken.inputs;
  try {
    make_blueprint(tiny_model(quantization), {}, few);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("fp8_per_channel_per_token on --device cpu"));
    EXPECT_THAT(error.what(), HasSubstr("quantize_dynamic"));
  }
}

TEST(Build, ConfigSaysWhatWasBuilt) {
  const ModelDir model = tiny_model(fp8_with_kv_cache());
  const EngineConfig fp8 = make_blueprint(model, {.max_seq_len = 100}, cpu_registry()).config;
  EXPECT_EQ(fp8.quantization, "fp8");
  EXPECT_EQ(fp8.kv_cache_dtype, "fp8");
  EXPECT_EQ(fp8.dtype, "bfloat16");
  EXPECT_EQ(fp8.max_seq_len, 100);
  EXPECT_EQ(fp8.max_input_len, 100);
  EXPECT_EQ(fp8.kv_bytes_per_token(), 2 * 2 * 2 * 8);
  const EngineConfig wide =
      make_blueprint(model, {.kv_cache_dtype = "bfloat16"}, cpu_registry()).config;
  EXPECT_EQ(wide.kv_cache_dtype, "bfloat16");
  EXPECT_EQ(make_blueprint(tiny_model(), {}, cpu_registry()).config.quantization, "none");
}

TEST(Build, MergedWeightsConcatenateTheirParts) {
  const ModelDir model = tiny_model();
  const Blueprint blueprint = make_blueprint(model, {}, cpu_registry());
  const Tensor merged = build_weight(
      weight_named(blueprint, "model.layers.0.self_attn.qkv_proj.weight"), *model.weights);
  const Tensor k = read_tensor(*model.weights, "model.layers.0.self_attn.k_proj.weight");
  EXPECT_EQ(merged.shape(), Shape({64, 32}));
  EXPECT_TRUE(std::equal(k.data(), k.data() + k.bytes(), merged.data() + 32 * 32 * 2));
}

TEST(Build, PartsOfAnotherSizeAreRefused) {
  const Blueprint::Weight weight{.name = "w", .info = {DType::kBF16, {3}}, .parts = {"a", "b"}};
  EditedWeights weights(tiny_model().weights);
  weights.replace("a", Tensor(DType::kBF16, {2}));
  weights.replace("b", Tensor(DType::kBF16, {2}));
  EXPECT_THROW(build_weight(weight, weights), Error);
  const Blueprint::Weight longer{.name = "w", .info = {DType::kBF16, {5}}, .parts = {"a", "b"}};
  EXPECT_THROW(build_weight(longer, weights), Error);
}

TEST(Build, ImageHoldsEveryWeightAndReportsProgress) {
  const ModelDir model = tiny_model(fp8_with_kv_cache());
  int64_t last = 0, total = 0;
  const EngineImage image =
      build_image(model, BuildConfig{}, cpu_registry(), nullptr, [&](int64_t done, int64_t all) {
        EXPECT_EQ(done, ++last);
        total = all;
      });
  EXPECT_EQ(last, total);
  EXPECT_EQ(std::ssize(image.weights), total);
}

// The CPU's kernels as those of another device: linears as a library's, a plugin's, and a fallback.
KernelRegistry fake_cuda_registry() {
  static const std::vector<Kernel> table = [] {
    std::vector<Kernel> kernels;
    for (Kernel kernel : cpu_registry().all()) {
      kernel.traits.device = DeviceType::kCuda;
      if (kernel.op != Op::kLinear) {
        kernels.push_back(kernel);
      } else if (kernel.name == "cpu_linear_scalar") {
        for (const auto& [name, plugin] :
             {std::pair("low_latency", "low_latency_gemm_plugin"),
              std::pair("library", "gemm_plugin"), std::pair("fallback", "")}) {
          kernel.name = name;
          kernel.traits.plugin = plugin;
          kernel.traits.fallback = kernel.name == "fallback";
          kernels.push_back(kernel);
        }
      }
    }
    return kernels;
  }();
  KernelRegistry registry;
  registry.add(table);
  return registry;
}

std::set<std::string> linears_with(const PluginConfig& plugins) {
  const KernelRegistry registry = fake_cuda_registry();
  const Blueprint blueprint = make_blueprint(
      tiny_model(fp8_with_kv_cache()), {.device = "cuda", .plugin_config = plugins}, registry);
  std::set<std::string> names;
  for (const Plan& plan : blueprint.plans) {
    for (size_t i = 0; i < plan.kernels.size(); ++i) {
      if (plan.program.calls[i].role == Role::kQkv) names.insert(plan.kernels[i]);
    }
  }
  return names;
}

TEST(Build, PluginFlagsDecideWhichKernelsAreCandidates) {
  using Names = std::set<std::string>;
  EXPECT_EQ(linears_with({}), Names{"library"});
  EXPECT_EQ(linears_with({.low_latency_gemm_plugin = "fp8"}), Names{"low_latency"});
  EXPECT_EQ(linears_with({.gemm_plugin = "fp8"}), Names{"library"});
  // Nothing but the fallback would be left: better a plugin that was not asked for.
  EXPECT_EQ(linears_with({.gemm_plugin = "disable"}), Names{"low_latency"});
  EXPECT_EQ(linears_with({.gemm_plugin = "disable", .low_latency_gemm_plugin = "fp8"}),
            Names{"low_latency"});
}

void take_long(const Operands&, const LaunchContext&) {
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
}
void take_no_time(const Operands&, const LaunchContext&) {}

// Measured on the host, whose linear and SwiGLU of this size take less than 2 ms and more than
// nothing.
void expect_fused_where_faster(const ModelDir& model, Op swiglu_op, Op fused_op) {
  const BuildConfig config{
      .device = "cuda",
      .dtype = "bfloat16",
      .max_num_tokens = 64,
      .plugin_config = {.gemm_swiglu_plugin = "fp8", .rope_attention_fusion = false}};
  ThreadPool pool(1);
  HostDevice device(pool, /*graphs=*/true);
  for (const bool quick : {true, false}) {
    std::vector<Kernel> kernels(cpu_registry().all().begin(), cpu_registry().all().end());
    for (Kernel& kernel : kernels) {
      if (kernel.op == fused_op) kernel.run = quick ? take_no_time : take_long;
    }
    KernelRegistry registry;
    registry.add(kernels);
    const Blueprint blueprint = make_blueprint(model, config, registry, &device);
    for (const Plan& plan : blueprint.plans) {
      EXPECT_EQ(calls_of(plan.program, fused_op).empty(), !quick);
      EXPECT_EQ(calls_of(plan.program, swiglu_op).empty(), quick);
    }
    const Blueprint unmeasured = make_blueprint(model, config, fake_cuda_registry());
    EXPECT_TRUE(calls_of(unmeasured.plans.back().program, fused_op).empty());
  }
}

TEST(Build, ABucketHasACompetingFusionWhereItIsFaster) {
  expect_fused_where_faster(tiny_model(fp8_with_kv_cache()), Op::kSwiglu, Op::kLinearSwiglu);
  expect_fused_where_faster(tiny_moe(fp8_with_kv_cache()), Op::kGroupedSwiglu,
                            Op::kGroupedLinearSwiglu);
}

// A fused call whose fastest kernel runs what the call replaced is left unfused.
void expect_fused_where_its_kernel_is_faster(Op fused_op, Op replaced_op,
                                             bool PluginConfig::*flag) {
  const ModelDir model = tiny_model(fp8_with_kv_cache());
  BuildConfig config{.device = "cuda",
                     .dtype = "bfloat16",
                     .max_num_tokens = 8,
                     .plugin_config = {.rope_attention_fusion = false}};
  ThreadPool pool(1);
  HostDevice device(pool, /*graphs=*/true);
  for (const bool quick : {true, false}) {
    std::vector<Kernel> kernels;
    for (Kernel kernel : cpu_registry().all()) {
      if (kernel.op == fused_op) {
        kernel.name = "in_turn";
        kernel.traits.unfused = true;
        kernel.run = quick ? take_long : take_no_time;
        kernels.push_back(kernel);
        kernel.name = "fused";
        kernel.traits.unfused = false;
        kernel.run = quick ? take_no_time : take_long;
      }
      kernels.push_back(kernel);
    }
    KernelRegistry registry;
    registry.add(kernels);
    size_t replaced = 0;
    for (const bool enabled : {false, true}) {
      config.plugin_config.*flag = enabled;
      const Blueprint blueprint = make_blueprint(model, config, registry, &device);
      for (const Plan& plan : blueprint.plans) {
        const size_t fused = calls_of(plan.program, fused_op).size();
        if (!enabled) replaced = calls_of(plan.program, replaced_op).size();
        EXPECT_EQ(fused > 0, quick && enabled);
        EXPECT_EQ(calls_of(plan.program, replaced_op).size() + fused, replaced);
      }
    }
    const Blueprint unmeasured = make_blueprint(model, config, fake_cuda_registry());
    EXPECT_TRUE(calls_of(unmeasured.plans.back().program, fused_op).empty());
  }
}

TEST(Build, ACallIsFusedWhereAKernelOfItsOwnIsFaster) {
  expect_fused_where_its_kernel_is_faster(Op::kRopeAttention, Op::kAttention,
                                          &PluginConfig::rope_attention_fusion);
  expect_fused_where_its_kernel_is_faster(Op::kAddRmsNormLinear, Op::kAddRmsNorm,
                                          &PluginConfig::norm_linear_fusion);
}

Verdict of_few_rows(const Problem& problem) {
  return problem.inputs[0].shape[0] <= 32 ? Verdict::yes() : Verdict::no("many rows");
}

// A plugin's kernel runs where that plugin was asked for, SwiGLU of few tokens also where both its
// parts were; a bucket for which there is none is unfused, whatever another plugin could do.
TEST(Build, SwigluPluginsAdmitTheirKernels) {
  static bool large_is_slow;
  std::vector<Kernel> kernels;
  for (Kernel kernel : cpu_registry().all()) {
    if (kernel.op != Op::kLinearSwiglu) {
      kernels.push_back(kernel);
      continue;
    }
    kernel.run = [](const Operands& operands, const LaunchContext& context) {
      if (large_is_slow) take_long(operands, context);
    };
    kernel.name = "large";
    kernel.traits.plugin = "gemm_swiglu_plugin";
    kernels.push_back(kernel);
    kernel.run = take_no_time;
    kernel.name = "few";
    kernel.traits.plugin = "low_latency_gemm_swiglu_plugin";
    kernel.supports = of_few_rows;
    kernels.push_back(kernel);
  }
  KernelRegistry registry;
  registry.add(kernels);
  ThreadPool pool(1);
  HostDevice device(pool, /*graphs=*/true);
  // The kernel of the fused calls of a plan for so many tokens: the host has one plan.
  const auto fused = [&](PluginConfig plugins, int64_t tokens) -> std::string {
    plugins.rope_attention_fusion = false;
    const BuildConfig config{
        .device = "cuda", .dtype = "bfloat16", .max_num_tokens = tokens, .plugin_config = plugins};
    const Blueprint blueprint =
        make_blueprint(tiny_model(fp8_with_kv_cache()), config, registry, &device);
    const Plan& plan = blueprint.plans.back();
    const auto calls = calls_of(plan.program, Op::kLinearSwiglu);
    return calls.empty() ? "unfused" : plan.kernels[calls.front() - plan.program.calls.data()];
  };
  for (const int64_t tokens : {32, 64}) {
    large_is_slow = false;
    EXPECT_EQ(fused({}, tokens), "unfused");
    EXPECT_EQ(fused({.gemm_swiglu_plugin = "fp8"}, tokens), "large");
    EXPECT_EQ(fused({.low_latency_gemm_swiglu_plugin = "fp8"}, tokens),
              tokens == 32 ? "few" : "unfused");
    large_is_slow = tokens == 32;
    EXPECT_EQ(fused({.gemm_swiglu_plugin = "fp8", .low_latency_gemm_plugin = "fp8"}, tokens),
              tokens == 32 ? "few" : "large");
  }
}

// Ranks that share a model decide by one measurement of all of them: alike.
TEST(Build, ResidualsAreShardedWhereThatIsFaster) {
  const ModelDir model = tiny_model(fp8_with_kv_cache());
  const BuildConfig config{.device = "cpu",
                           .tp_size = 2,
                           .max_batch_size = 4,
                           .max_num_tokens = 64,
                           .plugin_config = {.reduce_fusion = true, .user_buffer = true}};
  for (const bool quick : {true, false}) {
    static bool sharded_is_quick;
    sharded_is_quick = quick;
    std::vector<Kernel> kernels(cpu_registry().all().begin(), cpu_registry().all().end());
    for (Kernel& kernel : kernels) {
      if (kernel.op != Op::kAllReduceAddRmsNorm) continue;
      kernel.run = [](const Operands& operands, const LaunchContext&) {
        const bool sharded = std::get<ReduceNormParams>(*operands.params).sharded;
        std::this_thread::sleep_for(
            std::chrono::microseconds(sharded == sharded_is_quick ? 20 : 1000));
      };
    }
    KernelRegistry registry;
    registry.add(kernels);
    ThreadPool pool(1);
    LocalGroup group(2, 1);
    std::vector<GroupTimer::Rank> ranks;
    for (int64_t rank = 0; rank < 2; ++rank)
      ranks.push_back(
          {std::make_shared<HostDevice>(pool), {std::shared_ptr<void>(), &group.member(rank)}});
    GroupTimer timer(std::move(ranks));
    for (const Blueprint& rank :
         make_blueprints(model, config, registry, nullptr, {.group = &timer})) {
      for (const Plan& plan : rank.plans) {
        for (const Call* call : calls_of(plan.program, Op::kAllReduceAddRmsNorm)) {
          EXPECT_EQ(std::get<ReduceNormParams>(call->params).sharded, quick);
          EXPECT_TRUE(std::get<ReduceNormParams>(call->params).user_buffer);
        }
      }
    }
    for (const Blueprint& rank : make_blueprints(model, config, registry)) {
      for (const Call* call : calls_of(rank.plans[0].program, Op::kAllReduceAddRmsNorm))
        EXPECT_FALSE(std::get<ReduceNormParams>(call->params).sharded);  // not measured
    }
  }
}

TEST(Build, Fp8AttentionIsChosenWhereItsFlagIsOn) {
  const KernelRegistry all = fake_cuda_registry();
  std::vector<Kernel> table;
  for (const Kernel& kernel : all.all()) {
    if (kernel.op == Op::kAttention && table.back().op != Op::kAttention) {
      table.push_back(kernel);
      table.back().name = "fp8_attention";
      table.back().traits.plugin = "use_fp8_context_fmha";
    }
    table.push_back(kernel);
  }
  KernelRegistry registry;
  registry.add(table);
  ModelConfig config = tiny_config();
  config.head_dim = 64;
  const auto chosen = [&](bool enabled) {
    const BuildConfig options{
        .device = "cuda", .dtype = "bfloat16", .plugin_config = {.use_fp8_context_fmha = enabled}};
    const Blueprint blueprint =
        make_blueprint(tiny_model(fp8_with_kv_cache(), config), options, registry);
    return std::ranges::count(blueprint.plans.front().kernels, "fp8_attention");
  };
  EXPECT_EQ(chosen(false), 0);
  EXPECT_EQ(chosen(true), config.num_layers);
}

TEST(Build, AGpuHasAPlanForEveryPowerOfTwoOfTokens) {
  const KernelRegistry registry = fake_cuda_registry();
  BuildConfig config{.device = "cuda", .max_batch_size = 40, .max_num_tokens = 128};
  const auto buckets = [&] {
    std::vector<std::pair<PlanKind, int64_t>> found;
    for (const Plan& plan : make_blueprint(tiny_model(), config, registry).plans)
      found.emplace_back(plan.kind, plan.max_tokens);
    return found;
  };
  using Buckets = std::vector<std::pair<PlanKind, int64_t>>;
  EXPECT_EQ(buckets(), (Buckets{{PlanKind::kDecode, 8},
                                {PlanKind::kDecode, 16},
                                {PlanKind::kDecode, 32},
                                {PlanKind::kDecode, 40},
                                {PlanKind::kMixed, 128}}));
  config.plugin_config.multiple_profiles = false;
  EXPECT_EQ(buckets(), (Buckets{{PlanKind::kDecode, 40}, {PlanKind::kMixed, 128}}));
}

}  // namespace
}  // namespace octavo
