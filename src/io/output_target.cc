// Which directories a job may write to.
// SPDX-License-Identifier: Apache-2.0
#include "io/output_target.h"

#include <cerrno>
#include <system_error>

#include "io/directory.h"

namespace octavo {
namespace {

namespace fs = std::filesystem;

Error usage(const fs::path& target, std::string_view reason) {
  return Error(ErrorCategory::kUsage, target.native(), "", reason);
}

// By device and inode, so that links and bind mounts do not hide it.
bool lies_within(fs::path inner, const fs::path& outer) {
  for (;;) {
    std::error_code error;
    if (fs::equivalent(inner, outer, error) && !error) return true;
    const fs::path parent = inner.parent_path();
    if (parent == inner || parent.empty()) return false;
    inner = parent;
  }
}

void check_inputs(const fs::path& target, const OutputOptions& options) {
  for (const fs::path& input : options.inputs) {
    std::error_code error;
    const fs::path real = fs::canonical(input, error);
    if (error) continue;  // the reader of that input reports it
    if (lies_within(target, real)) {
      throw usage(target, fmt::format("the output must not be or lie inside the input {}",
                                      printable(real.native())));
    }
    if (lies_within(real, target)) {
      throw usage(target, fmt::format("the output must not contain the input {}",
                                      printable(real.native())));
    }
  }
}

// `target` exists: refuse all but an empty directory or, with overwrite, an earlier output.
void check_existing(const fs::path& target, const OutputOptions& options) {
  std::error_code error;
  if (!fs::is_directory(target, error))
    throw usage(target, "the output exists and is not a directory");
  const Directory directory = Directory::open(target);
  const std::vector<std::string> names = directory.list();
  if (names.empty()) return;
  if (!options.overwrite)
    throw usage(target, "the output directory exists and is not empty; --overwrite replaces it");
  // Replacing removes everything in it, so it must be something that Octavo could have written:
  // files and a manifest.
  if (!directory.contains(options.manifest)) {
    throw usage(target, fmt::format("not overwritten, since it holds no {} and so is not an "
                                    "earlier output; remove it first",
                                    options.manifest));
  }
  for (const std::string& name : names) {
    if (fs::is_directory(fs::symlink_status(target / name, error))) {
      throw usage(
          target,
          fmt::format("not overwritten, since it holds the directory \"{}\"; remove it first",
                      printable(name)));
    }
  }
}

}  // namespace

fs::path resolve_output_target(const fs::path& target, const OutputOptions& options) {
  if (target.empty()) throw usage(target, "the output path is empty");
  std::error_code error;
  fs::path real = fs::weakly_canonical(fs::absolute(target, error), error);
  if (error) throw usage(target, fmt::format("not a usable output path: {}", error.message()));
  if (!real.has_filename()) real = real.parent_path();
  if (!is_plain_basename(real.filename().native())) throw usage(target, "not a usable output path");
  const fs::file_status status = fs::symlink_status(real, error);
  if (fs::is_symlink(status))
    throw usage(target, "the output is a symbolic link that leads nowhere");
  check_inputs(real, options);
  if (fs::exists(status)) check_existing(real, options);
  fs::create_directories(real.parent_path(), error);
  if (error)
    throw usage(target, fmt::format("cannot create the parent directory: {}", error.message()));
  return real;
}

Error output_error(const fs::path& path, int error_number) {
  const bool unusable = error_number == EACCES || error_number == EPERM || error_number == EROFS ||
                        error_number == ENAMETOOLONG;
  return Error(unusable ? ErrorCategory::kUsage : ErrorCategory::kEnvironment, path.native(), "",
               fmt::format("cannot write here: {}", std::generic_category().message(error_number)));
}

}  // namespace octavo
