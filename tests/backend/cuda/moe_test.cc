// Routing, permutation, combination and codes of a mixture of experts on the device.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/moe/moe.h"

#include "backend/cuda/device/expert_rows.cuh"
#include "backend/cuda/device_case.h"
#include "ops/moe_cases.h"

namespace octavo::testing {
namespace {

using testing_ops::HostTensor;
using testing_ops::OpCase;

TEST(ExpertRows, EveryRowHasItsExpert) {
  const std::vector<std::vector<int32_t>> counts = {
      {1}, {0, 0, 5}, {3, 0, 0, 2, 0}, {0, 0}, {7, 1, 0, 128, 0, 0, 2}};
  for (const std::vector<int32_t>& of_expert : counts) {
    std::vector<int32_t> offsets = {0};
    for (const int32_t count : of_expert) offsets.push_back(offsets.back() + count);
    const auto experts = static_cast<int>(of_expert.size());
    for (int expert = 0; expert < experts; ++expert) {
      for (int32_t row = offsets[expert]; row < offsets[expert + 1]; ++row)
        EXPECT_EQ(device::expert_of_row(offsets.data(), experts, row), expert);
    }
    EXPECT_EQ(device::expert_of_row(offsets.data(), experts, offsets.back()), -1);
  }
}

// Every block of a grid of any size walks over its own tiles; together they meet each row once.
TEST(ExpertRows, WalksMeetEveryTileOnce) {
  const std::vector<int32_t> offsets = {0, 0, 5, 5, 38, 39, 39, 64, 64};
  constexpr int kExperts = 8, kRows = 8, kBlocks = 3;
  const auto tiles_of = [](int rows) { return (rows + kRows - 1) / kRows * kBlocks; };
  for (const int grid : {1, 2, 7, 1000}) {
    std::vector<int> met(static_cast<size_t>(offsets.back() * kBlocks));
    for (int block = 0; block < grid; ++block) {
      device::ExpertWalk walk = {offsets.data(), kExperts};
      for (int tile = block; walk.find(tile, tiles_of); tile += grid) {
        const int groups = (walk.rows() + kRows - 1) / kRows;
        const int within = tile - walk.first;
        ASSERT_LT(within, groups * kBlocks);
        const int begin = walk.begin() + within % groups * kRows;
        for (int row = begin; row < std::min(begin + kRows, walk.end()); ++row)
          ++met[static_cast<size_t>(row * kBlocks + within / groups)];
      }
    }
    for (const int count : met) EXPECT_EQ(count, 1) << grid;
  }
}

TEST(MoeGrid, Route) {
  OCTAVO_REQUIRE_DEVICE();
  expect_within_intervals("cuda_route", testing_ops::route_cases());
}

TEST(MoeGrid, Permute) {
  OCTAVO_REQUIRE_DEVICE();
  expect_within_intervals("cuda_permute", testing_ops::permute_cases());
}

TEST(MoeGrid, Combine) {
  OCTAVO_REQUIRE_DEVICE();
  expect_within_intervals("cuda_combine", testing_ops::combine_cases());
}

TEST(MoeGrid, GroupedQuantize) {
  OCTAVO_REQUIRE_DEVICE();
  expect_within_intervals("cuda_grouped_quantize",
                          testing_ops::grouped_codes_cases(Op::kGroupedQuantize));
}

OpCase route_case(int64_t tokens, int64_t experts, int64_t top_k, DType type, bool normalize) {
  std::mt19937 random(static_cast<uint32_t>(tokens + experts));
  OpCase one{.name = fmt::format("{} tokens, {} of {} {}", tokens, top_k, experts, to_string(type)),
             .op = Op::kRoute,
             .params = RouteParams{top_k, normalize}};
  HostTensor logits(type, {tokens, experts}, 1);
  // Few different values, so that most maxima are shared; a few that are no numbers.
  std::uniform_int_distribution<int> value(-4, 4), rare(0, 200);
  const double special[] = {NAN, INFINITY, -INFINITY, -0.0};
  for (int64_t i = 0; i < logits.elements(); ++i) {
    const int choice = rare(random);
    logits.set(i, choice < 4 ? special[choice] : value(random));
  }
  HostTensor slots(DType::kI64, {tokens});
  for (int64_t i = 0; i < tokens; ++i) slots.set(i, i % 9 == 8 ? -1.0 : static_cast<double>(i));
  one.inputs = {logits, slots};
  one.outputs = {{DType::kI32, {tokens, top_k}}, {DType::kF32, {tokens, top_k}}};
  return one;
}

TEST(Route, TiesAndValuesThatAreNoNumbersGoAsOnTheCpu) {
  OCTAVO_REQUIRE_DEVICE();
  for (const auto& [experts, top_k] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {2, 2}, {8, 2}, {33, 5}, {64, 8}, {1000, 40}}) {
    for (const DType type : {DType::kF32, DType::kBF16}) {
      for (const bool normalize : {false, true})
        expect_bytes_of_cpu("cuda_route", route_case(101, experts, top_k, type, normalize), {0, 1});
    }
  }
}

// More choices than a block counts for itself: sorted by one block, and copied by the next grid.
TEST(Permute, ManyChoicesGiveTheBytesOfTheCpu) {
  OCTAVO_REQUIRE_DEVICE();
  std::mt19937 random(31);
  for (const int64_t experts : {1, 8, 100, 1000}) {
    for (const auto& [tokens, columns] :
         std::vector<std::pair<int64_t, int64_t>>{{1024, 8}, {1025, 8}, {3001, 33}, {1500, 40}}) {
      const int64_t top_k = std::min<int64_t>(experts, 2);
      OpCase one{.name = fmt::format("{} tokens, {} experts, {}", tokens, experts, columns),
                 .op = Op::kPermute,
                 .params = PermuteParams{experts}};
      HostTensor chosen(DType::kI32, {tokens, top_k});
      // Neighbours prefer neighbours; expert 5 is never chosen; every 11th token has none.
      for (int64_t i = 0; i < chosen.elements(); ++i) {
        const int64_t first = (i / top_k / 7 + static_cast<int64_t>(random() % 3)) % experts;
        const int64_t expert = (first + i % top_k) % experts;
        chosen.set(i, i / top_k % 11 == 10 || expert == 5 ? -1.0 : static_cast<double>(expert));
      }
      one.inputs = {testing_ops::normal_tensor(DType::kBF16, {tokens, columns}, 8, random), chosen};
      one.outputs = {{DType::kI32, {tokens, top_k}},
                     {DType::kI32, {experts + 1}},
                     {DType::kBF16, {tokens * top_k, columns}, 8}};
      expect_bytes_of_cpu("cuda_permute", one, {0, 1, 2});
      if (::testing::Test::HasFailure()) return;
    }
  }
}

// Rows that are moved 16 bytes at a time, and sums that round as the CPU's.
TEST(Combine, GivesTheBytesOfTheCpu) {
  OCTAVO_REQUIRE_DEVICE();
  std::mt19937 random(32);
  for (const DType type : {DType::kF32, DType::kBF16}) {
    for (const int64_t columns : {8, 1032, 4096, 33}) {
      const testing_ops::MoeGrid grid{37, 2, type};
      const testing_ops::Routing routing(grid, random);
      OpCase one{.name = fmt::format("{} columns", columns), .op = Op::kCombine};
      one.inputs = {testing_ops::normal_tensor(type, {routing.count(), columns}, 8, random),
                    routing.rows,
                    testing_ops::normal_tensor(DType::kF32, routing.rows.shape(), 0, random)};
      one.outputs = {{type, {grid.tokens, columns}, 8}};
      expect_bytes_of_cpu("cuda_combine", one, {0});
    }
  }
}

TEST(GroupedQuantize, GivesTheBytesOfTheCpu) {
  OCTAVO_REQUIRE_DEVICE();
  std::mt19937 random(33);
  for (const DType type : {DType::kF32, DType::kBF16}) {
    for (const int64_t columns : {8, 520, 4096, 33}) {
      const testing_ops::Routing routing({37, 2, type}, random);
      const Shape shape = {routing.count(), columns};
      OpCase one{.name = fmt::format("{} columns", columns), .op = Op::kGroupedQuantize};
      one.inputs = {testing_ops::normal_tensor(type, shape, 8, random),
                    testing_ops::scales_of_experts(testing_ops::kExperts), routing.offsets};
      one.outputs = {{DType::kE4M3, shape, 8}};
      expect_bytes_of_cpu("cuda_grouped_quantize", one, {0});
    }
  }
}

// Fused and unfused are the same bytes, whatever the device's exponential is like.
TEST(GroupedSwiglu, GivesTheBytesOfSwigluAndGroupedQuantize) {
  OCTAVO_REQUIRE_DEVICE();
  std::mt19937 random(34);
  for (const DType type : {DType::kF32, DType::kBF16}) {
    for (const int64_t columns : {520, 33}) {
      const testing_ops::Routing routing({37, 2, type}, random);
      const Shape shape = {routing.count(), columns};
      const HostTensor gate = testing_ops::normal_tensor(type, shape, 8, random, 3.0);
      const HostTensor up = testing_ops::normal_tensor(type, shape, 8, random, 2.0);
      const HostTensor scales = testing_ops::scales_of_experts(testing_ops::kExperts);
      OpCase fused{.name = "fused", .op = Op::kGroupedSwiglu};
      fused.inputs = {gate, up, scales, routing.offsets};
      fused.outputs = {{DType::kE4M3, shape, 8}};
      OpCase first{.name = "swiglu", .op = Op::kSwiglu};
      first.inputs = {gate, up, {}};
      first.outputs = {{type, shape, 8}};
      OpCase second{.name = "quantize", .op = Op::kGroupedQuantize};
      second.inputs = {run_on_device(cuda_kernel("cuda_swiglu"), first)[0], scales,
                       routing.offsets};
      second.outputs = fused.outputs;
      const auto expected = run_on_device(cuda_kernel("cuda_grouped_quantize"), second)[0];
      const auto codes = run_on_device(cuda_kernel("cuda_grouped_swiglu"), fused)[0];
      EXPECT_EQ(codes.storage(), expected.storage()) << columns;
    }
  }
}

TEST(Moe, RefusalsHaveReasons) {
  OpCase one = route_case(3, 8, 2, DType::kF32, true);
  Problem problem = one.problem();
  problem.inputs[0].shape = {3, 1025};
  EXPECT_EQ(cuda_kernel("cuda_route").supports(problem).reason, "1025 experts, at most 1024");
  problem = one.problem();
  problem.inputs[0].dtype = DType::kE4M3;
  EXPECT_FALSE(cuda_kernel("cuda_route").supports(problem).supported);
  problem = testing_ops::combine_cases()[0].problem();
  problem.outputs[0].dtype = DType::kE4M3;
  EXPECT_FALSE(cuda_kernel("cuda_combine").supports(problem).supported);
}

}  // namespace
}  // namespace octavo::testing
