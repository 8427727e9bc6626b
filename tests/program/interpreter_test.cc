// The interpreter over real kernels: ranges of calls, views, observers.
// SPDX-License-Identifier: Apache-2.0
#include "program/interpreter.h"

#include <gtest/gtest.h>

#include <cstring>

#include "core/host_device.h"
#include "model/tiny_model.h"
#include "program/step_buffers.h"

namespace octavo {
namespace {

class InterpreterTest : public testing::Test {
 protected:
  InterpreterTest()
      : program_(kLlama.emit(tiny_config(), {.dtype = DType::kF32, .tokens_per_block = 4})) {
    batch_.table_width = 2;
    batch_.append({3, 5, 7, 11, 13}, 0, {1, 0}, 4);
    batch_.logit_rows = {4};
    sizes_ = batch_.sizes(2);
    interpreter_ = std::make_unique<Interpreter>(
        program_, first_candidates(program_, cpu_registry(), sizes_), sizes_, device_);
    inputs_ = std::make_unique<StepBuffers>(sizes_, device_);
    inputs_->bind_to(*interpreter_);
    inputs_->upload(batch_);
    for (size_t i = 0; i < program_.tensors.size(); ++i) bind(static_cast<TensorId>(i));
  }

  void bind(TensorId id) {
    const ProgramTensor& tensor = program_.tensor(id);
    if (tensor.kind == TensorKind::kCache) {
      owned_.emplace_back(tensor.dtype, evaluate(tensor.shape, sizes_));
    } else if (tensor.kind == TensorKind::kWeight && program_.literals.contains(id)) {
      owned_.emplace_back(DType::kF32, evaluate(tensor.shape, sizes_));
      std::memcpy(owned_.back().data(), program_.literals.at(id).data(),
                  static_cast<size_t>(owned_.back().bytes()));
    } else if (tensor.kind == TensorKind::kWeight) {
      owned_.push_back(read_tensor_as(*tiny_model().weights, tensor.name, tensor.dtype));
    } else {
      return;
    }
    interpreter_->bind(id, owned_.back().view());
  }

  std::vector<float> logits() const {
    const TensorView view = interpreter_->view(program_.outputs[0], sizes_);
    return {view.as<float>(), view.as<float>() + view.elements()};
  }

  Program program_;
  Batch batch_;
  SymbolValues sizes_;
  ThreadPool pool_{1};
  HostDevice device_{pool_};
  std::unique_ptr<Interpreter> interpreter_;
  std::unique_ptr<StepBuffers> inputs_;
  std::vector<Tensor> owned_;
};

TEST_F(InterpreterTest, PiecewiseEqualsWhole) {
  interpreter_->run(sizes_);
  const std::vector<float> whole = logits();
  for (size_t i = 0; i < program_.calls.size(); ++i) interpreter_->run(sizes_, i, i + 1);
  EXPECT_EQ(logits(), whole);
  EXPECT_EQ(whole.size(), 61u);
}

TEST_F(InterpreterTest, ObserversSeeEveryCallOnce) {
  size_t seen = 0;
  interpreter_->run(sizes_, 0, program_.calls.size(),
                    [&](const Call& call, const Operands& operands) {
                      EXPECT_EQ(&call, &program_.calls[seen++]);
                      EXPECT_EQ(operands.inputs.size(), call.inputs.size());
                    });
  EXPECT_EQ(seen, program_.calls.size());
}

TEST_F(InterpreterTest, BindsOnlyTheProgramsTypes) {
  const Tensor wrong(DType::kI32, {61, 32});
  EXPECT_THROW(interpreter_->bind(program_.find("lm_head.weight"), wrong.view()), Error);
}

}  // namespace
}  // namespace octavo
