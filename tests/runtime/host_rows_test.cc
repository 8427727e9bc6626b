// Rows of the host are read where they are.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/host_rows.h"

#include <gtest/gtest.h>

#include "core/host_device.h"

namespace octavo {
namespace {

TEST(HostRows, TheHostsOwnMemoryIsNotCopied) {
  ThreadPool pool(1);
  HostDevice device(pool);
  const Tensor rows(DType::kF32, {2, 3});
  EXPECT_EQ(HostRows(device).bring(rows.view()), rows.as<float>());
}

}  // namespace
}  // namespace octavo
