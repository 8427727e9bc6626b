// GPUs that share a model give what one gives, and end together.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "backend/cuda/cuda_device.h"
#include "comm/comm.h"
#include "pipeline/ranks_case.h"

namespace octavo {
namespace {

using testing::HasSubstr;

#define OCTAVO_REQUIRE_TWO_GPUS() \
  if (cuda_devices().size() < 2) GTEST_SKIP() << "two GPUs are needed"

// Each rank's part of a sum is rounded to the activation type before it is sent: every product of
// it is off by half an ulp more.
constexpr double kBf16Rounding = 0x1p-9;

class GpuRanks : public testing::TestWithParam<RanksCase> {};

TEST_P(GpuRanks, StagesAreBitEqualAndTensorParallelRanksWithinTheBoundOfTheirSums) {
  OCTAVO_REQUIRE_TWO_GPUS();
  const ModelDir model = model_of(GetParam());
  const RanksRun cuda{.device = "cuda", .dtype = "bfloat16"};
  const Logits one = logits_of(model, 1, 1, cuda);
  EXPECT_EQ(logits_of(model, 1, 2, cuda), one);
  double bound = 0;
  for (const unsigned seed : {1u, 2u}) {
    const ModelDir changed = with_changed_products(model, seed, kBf16Rounding);
    bound = std::max(bound, largest_difference(logits_of(changed, 1, 1, cuda), one));
  }
  EXPECT_LT(bound, 0.5 * spread(one));
  const Logits two = logits_of(model, 2, 1, cuda);
  const double difference = largest_difference(two, one);
  EXPECT_LE(difference, bound);
  EXPECT_GT(difference, 0);
  EXPECT_EQ(logits_of(model, 2, 1, cuda), two);
  RanksRun fused = cuda;
  fused.reduce_fusion = true;
  EXPECT_EQ(logits_of(model, 2, 1, fused), two);
  fused.user_buffer = true;
  EXPECT_EQ(logits_of(model, 2, 1, fused), two);
  fmt::print("spread {:.4g} bound {:.4g} difference {:.4g}\n", spread(one), bound, difference);
}

INSTANTIATE_TEST_SUITE_P(
    Models, GpuRanks,
    testing::Values(RanksCase{"PocketLlamaBf16", RankedModel::kPocketLlama},
                    RanksCase{"PocketLlamaFp8", RankedModel::kPocketLlama, kFp8Linear},
                    RanksCase{"Tiny70bFp8", RankedModel::kTiny70b, kFp8Linear}),
    [](const testing::TestParamInfo<RanksCase>& info) { return info.param.name; });
// Scheduler, graphs, sampling on the last stage and tokens that go back to the first.
TEST(GpuRankTokens, StagesGiveTheTokensOfOneGpuAlsoFromFiles) {
  OCTAVO_REQUIRE_TWO_GPUS();
  const std::vector<TokenIds> some = prompts(9);
  ModelOptions model = model_options(quantized_dir(), 2);
  model.build_config.device = "cuda";
  const std::vector<TokenIds> one = greedy(model, some, {}, 40);
  model.build_config.pp_size = 2;
  EXPECT_EQ(greedy(model, some, {}, 40), one);
  model.build_config.pp_size = 1;
  model.build_config.tp_size = 2;
  const std::vector<TokenIds> two = greedy(model, some, {}, 40);
  EXPECT_EQ(greedy(model, some, {}, 40), two);
  const std::filesystem::path engine = scratch_dir() / "engine_gpus";
  SilentProgress silent;
  build({.checkpoint_dir = quantized_dir(), .output_dir = engine, .config = model.build_config},
        silent);
  EXPECT_EQ(greedy({.engine_dir = engine, .threads = 2}, some, {}, 40), two);
}

TEST(GpuRankTokens, MoreRanksThanGpusAreRefused) {
  if (cuda_devices().empty()) GTEST_SKIP() << "no CUDA device";
  ModelOptions model = model_options(kModelDir);
  model.build_config.device = "cuda";
  model.build_config.pp_size = static_cast<int64_t>(cuda_devices().size()) + 1;
  SilentProgress silent;
  try {
    LLM llm(model, {}, silent);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("this machine offers"));
  }
}

// What rank 1's thread does in its swiglu calls.
enum class Fault { kNone, kThrow, kStall };
std::atomic<Fault> fault{Fault::kNone};
std::atomic<bool> release_stalled{false};

const Kernel& swiglu() { return *kernel_registry().find("cuda_swiglu"); }

void run_faulty(const Operands& operands, const LaunchContext& context) {
  if (context.comm != nullptr && context.comm->place().rank == 1) {
    if (fault == Fault::kThrow) throw Error(ErrorCategory::kInternal, "planted");
    while (fault == Fault::kStall && !release_stalled)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  swiglu().run(operands, context);
}

KernelRegistry faulty_registry() {
  KernelRegistry registry;
  static std::vector<Kernel> kernels(kernel_registry().all().begin(),
                                     kernel_registry().all().end());
  for (Kernel& kernel : kernels) {
    if (kernel.name == "cuda_swiglu") kernel.run = run_faulty;
  }
  registry.add(kernels);
  if (const DeviceKernels* beside = kernel_registry().beside(DeviceType::kCuda))
    registry.add(*beside);
  return registry;
}

TEST(GpuRankFaults, ARankThatThrowsOrStallsEndsAllByName) {
  OCTAVO_REQUIRE_TWO_GPUS();
  const KernelRegistry registry = faulty_registry();
  const ModelDir model = model_of({"", RankedModel::kPocketLlama});
  for (const auto& [how, message] :
       {std::pair{Fault::kThrow, "rank 1 failed: planted"}, {Fault::kStall, "rank 1 stalled"}}) {
    for (const auto& [tp, pp] : {std::pair{2, 1}, {1, 2}}) {
      BuildConfig config = small_build();
      config.device = "cuda";
      config.tp_size = tp;
      config.pp_size = pp;
      ThreadPool pool(2);
      fault = Fault::kNone;
      release_stalled = false;
      const auto start = std::chrono::steady_clock::now();
      try {
        Runner runner(ranks_of(model, config, pool), registry, {.num_blocks = 16});
        runner.visit_logits(TokenIds{0, 7, 8}, [](int64_t, std::span<const float>) {});
        fault = how;
        runner.visit_logits(TokenIds{0, 7, 8}, [](int64_t, std::span<const float>) {});
        ADD_FAILURE() << "no error";
      } catch (const Error& error) {
        EXPECT_EQ(error.category(), ErrorCategory::kDevice);
        EXPECT_THAT(error.what(), HasSubstr(message));
        release_stalled = true;
      }
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
    }
  }
}

}  // namespace
}  // namespace octavo
