// The table of what a GPU computes besides ops.
// SPDX-License-Identifier: Apache-2.0
#include "ops/device_kernels.h"

#include "backend/cuda/dummy/fill.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/observe/observe.h"
#include "backend/cuda/problem.h"
#include "backend/cuda/sampling/sampling.h"

namespace octavo {
namespace {

// The same arguments with the launch of a context.
template <typename Args, void (*kFunction)(const Args&, const cuda::Launch&)>
void run(const Args& args, const LaunchContext& context) {
  kFunction(args, cuda::on(context));
}

void fill(const Fill& fill, const LaunchContext& context) {
  const FillPattern& pattern = fill.pattern;
  if (pattern.random) {
    cuda::launch_random_fill({.to = fill.to,
                              .dtype = pattern.dtype,
                              .width = pattern.width,
                              .seed = pattern.seed,
                              .first = fill.first,
                              .count = fill.count,
                              .columns = pattern.columns,
                              .row_stride = pattern.row_stride},
                             cuda::on(context));
  } else {
    cuda::launch_constant_fill(
        {.to = fill.to, .dtype = pattern.dtype, .value = pattern.constant, .count = fill.count},
        cuda::on(context));
  }
}

// Room for o beside attention, and for attention beside qkv (docs/performance.md).
constexpr AttentionNeighbours kNeighbours[] = {
    {.before = "", .attention = "keys", .behind = "ring 116 fill 9"},
    {.before = "", .attention = "keys short", .behind = "fill 9"},
    {.before = "", .attention = "short", .behind = "fill 9"},
    {.before = "", .attention = "split 8 keys", .behind = "ring 116 fill 9"},
    {.before = "ring 116", .attention = "early keys", .behind = "ring 116 fill 9"},
    {.before = "ring 148", .attention = "early keys short", .behind = "fill 9"},
    {.before = "ring 116", .attention = "early split 8 keys", .behind = "ring 116 fill 9"},
};

}  // namespace

const DeviceKernels* cuda_device_kernels() {
  static const DeviceKernels table = {.device = DeviceType::kCuda,
                                      .least_compute_capability = 90,  // they use clusters
                                      .max_sampled_vocab = cuda::kMaxSampledVocab,
                                      .greedy = run<SampleArgs, cuda::launch_greedy>,
                                      .sample = run<SampleArgs, cuda::launch_sample>,
                                      .begin_slots = run<SlotHistories, cuda::launch_begin_slots>,
                                      .step_tokens = run<StepTokens, cuda::launch_step_tokens>,
                                      .fill = fill,
                                      .observe = run<ObservedRows, cuda::launch_observe>,
                                      .neighbours = kNeighbours};
  return &table;
}

}  // namespace octavo
