// Every kernel of every backend over the cases of its op, against a double oracle.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: a new kernel is tested by standing in its table. `--time` prints what each case took.
#include <chrono>
#include <cstdio>

#include "attention_cases.h"
#include "backend/cpu/kernels.h"
#include "block_linear_cases.h"
#include "cache_cases.h"
#include "elementwise_cases.h"
#include "grouped_linear_swiglu_cases.h"
#include "linear_cases.h"
#include "linear_swiglu_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

bool print_times = false;

const KernelRegistry& registry() {
  static const KernelRegistry instance = [] {
    KernelRegistry created;
    created.add(cpu_kernels());
    return created;
  }();
  return instance;
}

std::vector<OpCase> make_cases(Op op) {
  switch (op) {
    case Op::kEmbedding:
    case Op::kGatherRows:
      return copy_cases(op);
    case Op::kRmsNorm:
      return rms_norm_cases();
    case Op::kAdd:
      return add_cases();
    case Op::kAddRmsNorm:
      return add_rms_norm_cases();
    case Op::kQuantize:
      return quantize_cases();
    case Op::kQuantizeDynamic:
      return quantize_dynamic_cases();
    case Op::kRope:
      return rope_cases();
    case Op::kKvAppend:
      return append_cases(/*rotate=*/false);
    case Op::kRopeKvAppend:
      return append_cases(/*rotate=*/true);
    case Op::kAttention:
      return attention_cases();
    case Op::kRopeAttention:
      return {};  // the two ops before: builder/fusions/rope_attention_test.cc
    case Op::kSwiglu:
      return swiglu_cases();
    case Op::kLinear: {
      std::vector<OpCase> cases = linear_cases();
      for (OpCase& one : block_linear_cases()) cases.push_back(std::move(one));
      return cases;
    }
    case Op::kLinearSwiglu:
      return linear_swiglu_cases();
    case Op::kAddRmsNormLinear:
      return {};  // add_rms_norm, linear: builder/fusions/norm_linear_test.cc
    case Op::kRoute:
      return route_cases();
    case Op::kPermute:
      return permute_cases();
    case Op::kGroupedLinear: {
      std::vector<OpCase> cases = grouped_linear_cases();
      for (OpCase& one : grouped_block_cases()) cases.push_back(std::move(one));
      return cases;
    }
    case Op::kGroupedQuantize:
    case Op::kGroupedSwiglu:
      return grouped_codes_cases(op);
    case Op::kGroupedLinearSwiglu:
      return grouped_linear_swiglu_cases();
    case Op::kCombine:
      return combine_cases();
    case Op::kAllReduce:
    case Op::kReduceScatter:
    case Op::kAllGather:
    case Op::kSend:
    case Op::kRecv:
    case Op::kAllReduceAddRmsNorm:
      return {};  // need several ranks: backend/cpu/communicate_test.cc
  }
  return {};
}

// Runs the kernel on copies of the case's outputs and returns them. Host memory only: the CPU's
// tensors are its device's.
std::vector<HostTensor> run_case(const Kernel& kernel, const OpCase& one) {
  static ThreadPool pool(2);
  std::vector<HostTensor> outputs = one.outputs;
  std::vector<TensorView> inputs, views;
  for (const HostTensor& tensor : one.inputs) inputs.push_back(tensor.view());
  for (const HostTensor& tensor : outputs) views.push_back(tensor.view());
  const int64_t bytes = kernel.workspace == nullptr ? 0 : kernel.workspace(one.problem());
  std::vector<std::byte> workspace(static_cast<size_t>(bytes));
  const auto start = std::chrono::steady_clock::now();
  kernel.run({inputs, views, &one.params}, {.pool = &pool, .workspace = workspace});
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
  if (print_times)
    std::printf("%9.1f us  %.*s  %s\n", took.count(), static_cast<int>(kernel.name.size()),
                kernel.name.data(), one.name.c_str());
  return outputs;
}

class KernelGridTest : public testing::TestWithParam<const Kernel*> {};

TEST_P(KernelGridTest, ResultsLieWithinTheirBounds) {
  const Kernel& kernel = *GetParam();
  int64_t supported = 0;
  for (const OpCase& one : make_cases(kernel.op)) {
    SCOPED_TRACE(one.name);
    one.check_shape_rules();
    if (!kernel.supports(one.problem()).supported) continue;
    ++supported;
    const std::vector<HostTensor> outputs = run_case(kernel, one);
    for (size_t i = 0; i < outputs.size(); ++i)
      check_output(one.outputs[i], outputs[i], one.expected[i]);
    if (HasFailure()) return;
  }
  // A kernel for an instruction set that this CPU lacks supports nothing.
  if (supported == 0) GTEST_SKIP() << "no case of the grid reaches this kernel";
}

std::vector<const Kernel*> all_kernels() {
  std::vector<const Kernel*> out;
  for (const Kernel& kernel : registry().all()) out.push_back(&kernel);
  return out;
}

INSTANTIATE_TEST_SUITE_P(EveryKernel, KernelGridTest, testing::ValuesIn(all_kernels()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST(KernelRegistryTest, NamesAreUniqueAndFound) {
  for (const Kernel& kernel : registry().all()) {
    EXPECT_EQ(registry().find(kernel.name), &kernel) << kernel.name;
  }
  EXPECT_EQ(registry().find("no such kernel"), nullptr);
}

}  // namespace
}  // namespace octavo

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) octavo::print_times |= std::string_view(argv[i]) == "--time";
  return RUN_ALL_TESTS();
}
