// Saving of engines.
// SPDX-License-Identifier: Apache-2.0
#include "api/save_engine.h"

#include <algorithm>

#include "core/error.h"
#include "core/log.h"
#include "io/atomic_directory.h"
#include "octavo/build.h"
#include "runtime/engine_loader.h"

namespace octavo {
namespace {

constexpr uint64_t kCopyBytes = 8u << 20;

struct Copy {
  Progress& progress;
  uint64_t done = 0, total = 0;

  void file(const File& from, File to) {
    std::vector<std::byte> bytes;
    for (uint64_t at = 0; at < from.size(); at += bytes.size()) {
      bytes.resize(std::min(kCopyBytes, from.size() - at));
      from.pread_exact(at, bytes);
      to.write_all(bytes);
      done += bytes.size();
      progress.update(static_cast<int64_t>(done), static_cast<int64_t>(total), "copying engine");
    }
    to.finish();
    from.verify_unchanged();
  }
};

void copy_engine(const std::filesystem::path& from, const std::filesystem::path& to, bool overwrite,
                 Progress& progress) {
  const Directory source = Directory::open(from);
  std::vector<File> files;
  Copy copy{progress};
  for (const std::string& name : source.list()) {
    if (name == "config.json") continue;
    files.push_back(source.open_file(name));
    copy.total += files.back().size();
  }
  const std::string manifest = source.open_file("config.json").read_text();
  AtomicDirectory output(to,
                         {.overwrite = overwrite, .inputs = {from}, .needed_bytes = copy.total});
  for (const File& file : files)
    copy.file(file, output.create(std::filesystem::path(file.path()).filename().string()));
  output.commit(manifest);
  progress.finish();
}

}  // namespace

void save_engine(const ModelOptions& model, const std::filesystem::path& engine_dir, bool overwrite,
                 Progress& progress) {
  if (engine_dir.empty())
    throw Error(ErrorCategory::kUsage, "", "engine_dir", "expected a folder to write");
  if (!model.engine_dir.empty())
    return copy_engine(model.engine_dir, engine_dir, overwrite, progress);
  if (model.load_format == "dummy") {
    throw unsupported("", "save", "the weights are dummies (load_format \"dummy\")");
  }
  const BuildReport report = build({.checkpoint_dir = model.model_dir,
                                    .output_dir = engine_dir,
                                    .config = model.build_config,
                                    .overwrite = overwrite},
                                   progress);
  log_info("{}: {:.1f} MB of weights", printable(engine_dir.string()), report.weight_bytes / 1e6);
}

}  // namespace octavo
