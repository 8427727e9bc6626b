// Folders of tuning records.
// SPDX-License-Identifier: Apache-2.0
#include "api/tuning.h"

#include "core/environment.h"

namespace octavo {

TuningRecords open_tuning_records(const DeviceProperties& device, bool retune) {
  std::vector<std::filesystem::path> directories;
  const std::filesystem::path own = tuned_directory();
  if (device.type != DeviceType::kCpu && !own.empty()) {
    directories.push_back(own);
    std::error_code unknown;
    const auto folder = std::filesystem::read_symlink("/proc/self/exe", unknown).parent_path();
    if (!unknown) {
      directories.push_back(folder / ".." / "share" / "octavo" / "tuned");
      directories.push_back(folder / ".." / ".." / "tuned");
    }
  }
  return TuningRecords(device, directories, retune);
}

}  // namespace octavo
