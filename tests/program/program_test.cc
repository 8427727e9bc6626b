// Validation and printing of Programs.
// SPDX-License-Identifier: Apache-2.0
#include "program/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program/recorder.h"

namespace octavo {
namespace {

Program two_calls() {
  Recorder recorder(DType::kF32);
  const TensorId ids = recorder.input("token_ids", {Dim::of(Symbol::kTokens)});
  const TensorId x = recorder.embedding(ids, recorder.weight("table", {10, 4}), "embed");
  recorder.logits(x, recorder.weight("head", {10, 4}), "lm_head");
  return recorder.finish();
}

template <typename Change>
std::string error_after(Change change) {
  Program program = two_calls();
  change(program);
  try {
    validate(program);
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
    return error.what();
  }
  return "accepted";
}

TEST(Program, AcceptsWhatARecorderMade) { EXPECT_NO_THROW(validate(two_calls())); }

TEST(Program, RefusesIdsOutOfRange) {
  EXPECT_THAT(error_after([](Program& p) { p.calls[0].inputs[0] = 99; }),
              testing::HasSubstr("never written"));
  EXPECT_THAT(error_after([](Program& p) { p.calls[0].outputs[0] = -7; }),
              testing::HasSubstr("unknown tensor"));
  EXPECT_THAT(error_after([](Program& p) { p.outputs = {1000}; }), testing::HasSubstr("outputs"));
}

TEST(Program, RefusesReadsBeforeWrites) {
  EXPECT_THAT(error_after([](Program& p) { std::swap(p.calls[0], p.calls[1]); }),
              testing::HasSubstr("never written"));
}

TEST(Program, RefusesWritesToWeightsAndInputs) {
  EXPECT_THAT(error_after([](Program& p) { p.calls[0].outputs[0] = p.find("head"); }),
              testing::HasSubstr("writes a weight or an input"));
}

TEST(Program, RefusesShapesThatDoNotFit) {
  EXPECT_THAT(error_after([](Program& p) { p.tensor(p.find("head")).shape[1].value = 5; }),
              testing::HasSubstr("[linear] weight"));
  EXPECT_THAT(error_after([](Program& p) { p.tensors[2].shape.assign(9, Dim::constant(1)); }),
              testing::HasSubstr("rank above 8"));
  EXPECT_THAT(error_after([](Program& p) { p.tensors[1].shape[0].value = int64_t{1} << 40; }),
              testing::HasSubstr("out of range"));
}

TEST(Program, RefusesViewsOutsideTheirBase) {
  const auto with_view = [](int64_t column) {
    return [column](Program& p) {
      ProgramTensor view = p.tensor(p.calls[0].outputs[0]);
      view.base = p.calls[0].outputs[0];
      view.column = column;
      view.shape[1].value = 3;
      p.add(view);
    };
  };
  EXPECT_EQ(error_after(with_view(1)), "accepted");
  EXPECT_THAT(error_after(with_view(2)), testing::HasSubstr("a view must be columns"));
  EXPECT_THAT(error_after(with_view(-1)), testing::HasSubstr("a view must be columns"));
}

TEST(Program, RefusesLiteralsOfAnotherLength) {
  EXPECT_THAT(error_after([](Program& p) { p.literals[p.find("head")] = {1.0f}; }),
              testing::HasSubstr("literal"));
}

TEST(Program, RolesHaveNames) {
  for (int i = 0; i <= static_cast<int>(Role::kLmHead); ++i) {
    const auto role = static_cast<Role>(i);
    EXPECT_EQ(role_from_string(to_string(role)), role);
  }
  EXPECT_FALSE(role_from_string("nonsense"));
}

TEST(Program, PrintsOneCallALine) {
  const std::string text = to_string(two_calls());
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_THAT(text, testing::HasSubstr("embedding(token_ids:int32[tokens], table:float32[10, 4])"));
}

}  // namespace
}  // namespace octavo
