// Hidden states: kept within the budget, spilled beyond it, restored bit for bit.
// SPDX-License-Identifier: Apache-2.0
#include "quant/hidden_states.h"

#include <gtest/gtest.h>

#include <cstring>

#include "core/host_device.h"

namespace octavo {
namespace {

class HiddenStatesTest : public testing::Test {
 protected:
  Tensor filled(int64_t elements, float first) const {
    Tensor tensor(DType::kF32, {elements});
    for (int64_t i = 0; i < elements; ++i) tensor.as<float>()[i] = first + static_cast<float>(i);
    return tensor;
  }
  void expect_restored(const HiddenStates& states, TensorId id, const Tensor& expected) {
    const Tensor to(expected.dtype(), expected.shape());
    states.restore(id, to.view(), device_);
    EXPECT_EQ(std::memcmp(to.data(), expected.data(), static_cast<size_t>(to.bytes())), 0);
  }

  ThreadPool pool_{1};
  HostDevice device_{pool_};
};

TEST_F(HiddenStatesTest, SpillBeyondTheBudget) {
  SpillBudget budget(100);
  HiddenStates states;
  const Tensor a = filled(20, 1), b = filled(10, 5);
  states.save(3, a.view(), device_, budget);
  EXPECT_EQ(budget.spilled_bytes(), 0);
  states.save(7, b.view(), device_, budget);
  EXPECT_EQ(budget.spilled_bytes(), 40);
  EXPECT_EQ(states.ids(), (std::vector<TensorId>{3, 7}));
  expect_restored(states, 3, a);
  expect_restored(states, 7, b);
}

TEST_F(HiddenStatesTest, TheNextLayerUsesTheSameMemory) {
  SpillBudget budget(100);
  HiddenStates states;
  for (float layer = 0; layer < 5; ++layer) {
    const Tensor a = filled(25, layer);
    states.clear();
    EXPECT_TRUE(states.ids().empty());
    states.save(static_cast<TensorId>(layer), a.view(), device_, budget);
    expect_restored(states, static_cast<TensorId>(layer), a);
  }
  EXPECT_EQ(budget.spilled_bytes(), 0);
  const Tensor untouched = filled(4, 9);
  states.restore(99, untouched.view(), device_);
  EXPECT_EQ(untouched.as<float>()[3], 12.0f);
}

}  // namespace
}  // namespace octavo
