// Making and removing of work directories.
// SPDX-License-Identifier: Apache-2.0
#include "api/work_directory.h"

#include <cstdlib>
#include <system_error>

#include "core/error.h"

namespace octavo {

WorkDirectory::WorkDirectory(const std::filesystem::path& parent) {
  std::error_code error;
  const std::filesystem::path folder =
      parent.empty() ? std::filesystem::temp_directory_path(error) : parent;
  std::string name = (folder / "octavo-XXXXXX").string();
  if (error || mkdtemp(name.data()) == nullptr) {
    throw Error(ErrorCategory::kEnvironment, folder.string(), "workspace",
                fmt::format("no folder can be made here: {}",
                            error ? error.message() : std::generic_category().message(errno)));
  }
  path_ = name;
}

WorkDirectory::~WorkDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace octavo
