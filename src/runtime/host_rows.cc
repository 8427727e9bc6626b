// Transfer of rows to the host.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/host_rows.h"

namespace octavo {

const float* HostRows::bring(const TensorView& rows) {
  if (device_.type() == DeviceType::kCpu) return rows.as<float>();
  if (rows.bytes() > staging_bytes_) {
    staging_bytes_ = rows.bytes();
    staging_ = device_.allocate_staging(staging_bytes_);
  }
  device_.download(staging_.get(), rows.data, rows.bytes());
  device_.synchronize();
  return reinterpret_cast<const float*>(staging_.get());
}

}  // namespace octavo
