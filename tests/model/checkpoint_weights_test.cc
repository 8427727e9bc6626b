// Weights read from a checkpoint on disk.
// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint_weights.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(CheckpointWeights, RowsAreThoseOfTheWhole) {
  const CheckpointWeights weights(OCTAVO_SOURCE_DIR "/models/pocket-llama");
  const std::string name = "model.layers.2.mlp.down_proj.weight";
  const Tensor whole = read_tensor(weights, name);
  EXPECT_EQ(whole.shape(), Shape({256, 768}));
  std::vector<std::byte> rows(2 * 768 * 2);
  weights.read(name, 254, rows);
  EXPECT_TRUE(std::equal(rows.begin(), rows.end(), whole.data() + 254 * 768 * 2));
  EXPECT_FALSE(weights.info("no.such.tensor"));
}

}  // namespace
}  // namespace octavo
