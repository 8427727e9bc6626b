// Tests of the linear kernels: each against a double-precision oracle, within the bound of fp32.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/linear.h"

#include <gtest/gtest.h>

#include "backend/cpu/cpu_features.h"
#include "backend/cpu/linear_case.h"

namespace octavo {
namespace {

struct Types {
  DType x;
  DType weight;
};
constexpr Types kTypes[] = {
    {DType::kF32, DType::kF32},   {DType::kBF16, DType::kBF16}, {DType::kF32, DType::kBF16},
    {DType::kE4M3, DType::kE4M3}, {DType::kBF16, DType::kE4M3}, {DType::kF32, DType::kE4M3},
};

std::string describe(const Kernel& kernel, const LinearShape& shape) {
  return fmt::format("{} rows {} out {} in {} x {} weight {} y {}", kernel.name, shape.rows,
                     shape.out, shape.in, to_string(shape.x), to_string(shape.weight),
                     to_string(shape.y));
}

std::vector<const Kernel*> supporting(const LinearCase& problem) {
  std::vector<const Kernel*> found;
  for (const Kernel& kernel : linear_kernels()) {
    if (kernel.supports(problem.problem()).supported) found.push_back(&kernel);
  }
  return found;
}

// Reports the number of wrong elements and the first.
void expect_close(LinearCase& problem, const Kernel& kernel,
                  const std::vector<LinearCase::Expected>& expected) {
  const LinearShape& shape = problem.shape();
  int64_t wrong = 0;
  std::string first;
  for (int64_t row = 0; row < shape.rows; ++row) {
    for (int64_t column = 0; column < shape.out; ++column) {
      const auto [value, bound] = expected[row * shape.out + column];
      const double got = load_element(problem.y(), row, column);
      if (std::abs(got - value) <= bound) continue;  // false for NaN
      if (wrong++ == 0) {
        first = fmt::format("[{}, {}]: expected {} ± {}, got {}", row, column, value, bound, got);
      }
    }
  }
  EXPECT_EQ(wrong, 0) << describe(kernel, shape) << " first " << first;
}

void check(const LinearShape& shape, ThreadPool& pool) {
  LinearCase problem(shape);
  std::vector<LinearCase::Expected> expected;
  for (int64_t row = 0; row < shape.rows; ++row) {
    for (int64_t column = 0; column < shape.out; ++column) {
      expected.push_back(problem.expected(row, column));
    }
  }
  const std::vector<const Kernel*> kernels = supporting(problem);
  ASSERT_FALSE(kernels.empty());
  for (const Kernel* kernel : kernels) {
    problem.poison();
    problem.run(*kernel, &pool);
    expect_close(problem, *kernel, expected);
  }
}

TEST(Linear, MatchesTheOracleOverTheGrid) {
  ThreadPool pool(2);
  constexpr int64_t kSizes[] = {1, 16, 31, 33, 127, 128, 257, 1000};
  constexpr int64_t kRows[] = {0, 1, 2, 3, 17, 31, 32, 33};
  size_t turn = 0;
  for (const int64_t out : kSizes) {
    for (const int64_t in : kSizes) {
      for (const int64_t rows : kRows) {
        // Types and options take turns; small problems see all types.
        const bool small = rows * out * in <= 40000;
        for (size_t i = 0; i < (small ? std::size(kTypes) : 1); ++i, ++turn) {
          const Types types = kTypes[turn % std::size(kTypes)];
          check({.rows = rows,
                 .out = out,
                 .in = in,
                 .x = types.x,
                 .weight = types.weight,
                 .y = turn / 2 % 2 == 0 ? DType::kF32 : DType::kBF16,
                 .bias = turn % 3 == 0},
                pool);
        }
      }
    }
  }
}

TEST(Linear, AppliesTheScaleOfEachSegment) {
  ThreadPool pool(2);
  for (const Types types : kTypes) {
    if (types.weight != DType::kE4M3) continue;
    for (const int64_t rows : {1, 3, 40}) {
      for (const std::vector<int64_t>& segments :
           {std::vector<int64_t>{64, 16, 16}, {1, 94, 1}, {33, 33, 7}, {200}}) {
        int64_t out = 0;
        for (const int64_t segment : segments) out += segment;
        check({.rows = rows,
               .out = out,
               .in = 257,
               .x = types.x,
               .weight = types.weight,
               .bias = true,
               .segments = segments},
              pool);
      }
    }
  }
}

TEST(Linear, ReadsAndWritesStridedRowsAndNothingBetween) {
  ThreadPool pool(2);
  for (const Types types : kTypes) {
    for (const DType y : {DType::kF32, DType::kBF16}) {
      for (const int64_t rows : {2, 35}) {
        const LinearShape shape{.rows = rows,
                                .out = 37,
                                .in = 131,
                                .x = types.x,
                                .weight = types.weight,
                                .y = y,
                                .x_gap = 5,
                                .y_gap = 3};
        check(shape, pool);
        LinearCase problem(shape);
        for (const Kernel* kernel : supporting(problem)) {
          problem.poison();
          problem.run(*kernel, &pool);
          for (int64_t row = 0; row < rows; ++row) {
            for (int64_t gap = shape.out; gap < shape.out + shape.y_gap; ++gap) {
              EXPECT_TRUE(std::isnan(load_element(problem.y(), row, gap)))
                  << describe(*kernel, shape);
            }
          }
        }
      }
    }
  }
}

TEST(Linear, IsExactOnSmallIntegers) {
  ThreadPool pool(2);
  for (const Types types : kTypes) {
    for (const int64_t rows : {1, 2, 33}) {
      LinearCase problem(
          {.rows = rows, .out = 45, .in = 1500, .x = types.x, .weight = types.weight, .bias = true},
          LinearCase::Values::kSmallIntegers);
      for (const Kernel* kernel : supporting(problem)) {
        problem.poison();
        problem.run(*kernel, &pool);
        for (int64_t row = 0; row < rows; ++row) {
          for (int64_t column = 0; column < 45; ++column) {
            EXPECT_EQ(load_element(problem.y(), row, column), problem.expected(row, column).value)
                << describe(*kernel, problem.shape());
          }
        }
      }
    }
  }
}

TEST(Linear, RowAloneEqualsRowAmongOthersBitForBit) {
  ThreadPool pool(2);
  for (const Types types : kTypes) {
    LinearCase problem({.rows = 64,
                        .out = 67,
                        .in = 2085,
                        .x = types.x,
                        .weight = types.weight,
                        .y = DType::kF32,
                        .bias = true});
    std::vector<float> alone(67);
    const TensorView y(alone.data(), DType::kF32, {1, 67});
    for (const Kernel* kernel : supporting(problem)) {
      problem.run(*kernel, &pool);
      for (const int64_t row : {0, 1, 2, 31, 63}) {
        problem.run(*kernel, &pool, LinearCase::rows_of(problem.x(), row, 1), y);
        EXPECT_EQ(std::memcmp(alone.data(), problem.y().row<float>(row), 67 * sizeof(float)), 0)
            << describe(*kernel, problem.shape()) << " row " << row;
      }
    }
  }
}

// A NaN makes its row of y, or its column, NaN and nothing else: neither padding nor neighbours
// carry it on. Infinities follow IEEE 754.
TEST(Linear, NaNAndInfinityStayInTheirRowsAndColumns) {
  ThreadPool pool(2);
  for (const Types types : kTypes) {
    for (const int64_t rows : {1, 2, 19, 70}) {
      LinearCase problem({.rows = rows, .out = 45, .in = 77, .x = types.x, .weight = types.weight});
      const int64_t bad_row = rows - 1;
      store_element(problem.x(), bad_row, 76, NAN);
      store_element(problem.weight(), 33, 40, NAN);
      const bool infinite = types.weight != DType::kE4M3;  // which has none
      if (infinite) store_element(problem.weight(), 2, 5, INFINITY);
      for (const Kernel* kernel : supporting(problem)) {
        problem.poison();
        problem.run(*kernel, &pool);
        for (int64_t row = 0; row < rows; ++row) {
          for (int64_t column = 0; column < 45; ++column) {
            const float y = load_element(problem.y(), row, column);
            const std::string where =
                fmt::format("{} [{}, {}]", describe(*kernel, problem.shape()), row, column);
            if (row == bad_row || column == 33) {
              EXPECT_TRUE(std::isnan(y)) << where;
            } else if (infinite && column == 2) {
              EXPECT_FALSE(std::isfinite(y)) << where;
            } else {
              EXPECT_TRUE(std::isfinite(y)) << where;
            }
          }
        }
      }
    }
  }
}

TEST(Linear, ThreadsDoNotChangeTheResult) {
  for (const Types types : kTypes) {
    for (const int64_t rows : {1, 130}) {
      LinearCase problem(
          {.rows = rows, .out = 130, .in = 300, .x = types.x, .weight = types.weight});
      std::vector<float> first(rows * 130);
      for (const Kernel* kernel : supporting(problem)) {
        for (const int threads : {1, 2, 4}) {
          ThreadPool pool(threads);
          problem.poison();
          problem.run(*kernel, &pool);
          const size_t bytes = first.size() * sizeof(float);
          if (threads == 1) std::memcpy(first.data(), problem.y().data, bytes);
          EXPECT_EQ(std::memcmp(first.data(), problem.y().data, bytes), 0)
              << describe(*kernel, problem.shape()) << " threads " << threads;
        }
      }
    }
  }
}

TEST(Linear, EveryTypeHasAVectorisedKernelWhereTheCpuAllows) {
  if (cpu_level() == CpuLevel::kScalar) GTEST_SKIP() << "no vector instructions";
  for (const Types types : kTypes) {
    const LinearCase problem({.x = types.x, .weight = types.weight});
    EXPECT_NE(supporting(problem).front()->name, "cpu_linear_scalar");
  }
}

TEST(Linear, KernelsAboveTheLimitRefuseWithAReason) {
  const LinearCase problem({.x = DType::kBF16, .weight = DType::kE4M3});
  const CpuLevelLimit limit(CpuLevel::kScalar);
  ASSERT_EQ(supporting(problem).size(), 1u);
  EXPECT_EQ(supporting(problem).front()->name, "cpu_linear_scalar");
  for (const Kernel& kernel : linear_kernels()) {
    if (kernel.name == "cpu_linear_scalar") continue;
    const Verdict verdict = kernel.supports(problem.problem());
    EXPECT_EQ(verdict.reason.rfind("needs A", 0), 0u) << verdict.reason;
  }
}

TEST(Linear, RefusesTypesThatItDoesNotRead) {
  for (const LinearShape& shape : {LinearShape{.x = DType::kF16, .weight = DType::kBF16},
                                   {.x = DType::kBF16, .weight = DType::kF16},
                                   {.x = DType::kBF16, .weight = DType::kBF16, .y = DType::kF16}}) {
    Problem problem = LinearCase({}).problem();
    problem.inputs[0].dtype = shape.x;
    problem.inputs[1].dtype = shape.weight;
    problem.outputs[0].dtype = shape.y;
    for (const Kernel& kernel : linear_kernels()) {
      const Verdict verdict = kernel.supports(problem);
      EXPECT_FALSE(verdict.supported) << kernel.name;
      EXPECT_NE(verdict.reason.find("float16"), std::string::npos) << verdict.reason;
    }
  }
}

}  // namespace
}  // namespace octavo
