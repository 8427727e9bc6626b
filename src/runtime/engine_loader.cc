// Loading of engine directories.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/engine_loader.h"

#include <set>

#include "io/directory.h"
#include "io/engine_file.h"
#include "io/engine_identity.h"
#include "io/json.h"
#include "io/json_object.h"

namespace octavo {
namespace {

constexpr int64_t kFormatVersion = 1;

std::string rank_file(int64_t rank) { return engine_rank_file(static_cast<size_t>(rank)); }

void check_rank_files(const Directory& directory, int64_t ranks) {
  std::set<std::string> expected;
  for (int64_t rank = 0; rank < ranks; ++rank) expected.insert(rank_file(rank));
  for (const std::string& name : directory.list()) {
    if (name.starts_with("rank") && name.ends_with(".engine") && !expected.contains(name)) {
      throw bad_file(directory.path_of(name).string(), "",
                     fmt::format("config.json lists {} rank file(s)", ranks));
    }
  }
  for (const std::string& name : expected) {
    if (!directory.contains(name))
      throw bad_file(directory.path_of(name).string(), "", "expected a rank file, got none");
  }
}

// The manifest lists the plans of the ranks behind the first one, whose own are part of its id.
void check_rank_plans(const EngineManifest& manifest, const EngineFile& file, int64_t rank) {
  const JsonObject listed = JsonObject(manifest.json, manifest.file).required_object("rank_plans");
  if (listed.required_string(rank_file(rank)) == file_checksum(file.meta().at("plans").dump()))
    return;
  throw bad_file(file.path(), "plans", "they are not those of config.json");
}

// A manifest that was edited, or a bit of it that flipped, no longer has its build's id.
void check_identity(const EngineManifest& manifest, const EngineFile& file, int64_t rank) {
  if (rank > 0) return check_rank_plans(manifest, file, rank);
  const std::string id = engine_build_id(manifest.json, file.meta().at("plans"));
  if (id == manifest.build_id) return;
  throw bad_file(manifest.file, "octavo_engine.build_id",
                 fmt::format("expected {}, got {}: the file was changed after the build", id,
                             printable(manifest.build_id)));
}

// The tokenizer's files; the rank file has checksums of its own.
void check_small_files(const std::filesystem::path& engine_dir, const EngineManifest& manifest) {
  const Directory directory = Directory::open(engine_dir);
  const JsonObject files = JsonObject(manifest.json, manifest.file).required_object("files");
  for (const std::string& name : files.keys()) {
    const std::string expected = files.required_string(name);
    if (!is_plain_basename(name))
      throw bad_file(manifest.file, files.path_of(name), "expected the plain name of a file");
    if (!directory.contains(name))
      throw bad_file(directory.path_of(name).string(), "", "expected a file, got none");
    const File file = directory.open_file(name);
    if (file_checksum(file.read_text()) != expected)
      throw bad_file(file.path(), "",
                     "checksum does not match: the file was changed after the build");
  }
}

EngineFile open_rank_file(const std::filesystem::path& engine_dir, const EngineManifest& manifest,
                          int64_t rank) {
  const std::string& build_id = manifest.build_id;
  EngineFile file = EngineFile::open(Directory::open(engine_dir).open_file(rank_file(rank)));
  const JsonObject meta(file.meta(), file.path(), "meta");
  if (meta.required_string("build_id") != build_id) {
    throw bad_file(file.path(), "build_id",
                   fmt::format("expected {} as in config.json, got {}: files of two builds "
                               "are mixed",
                               printable(build_id), printable(meta.required_string("build_id"))));
  }
  if (const int64_t found = meta.required_int("rank", {0, 1023}); found != rank) {
    throw bad_file(file.path(), "rank",
                   fmt::format("expected {}, got {}: the file was renamed", rank, found));
  }
  meta.required_array("plans");
  check_identity(manifest, file, rank);
  return file;
}

std::vector<Plan> plans_of(const EngineFile& file) {
  const JsonObject meta(file.meta(), file.path(), "meta");
  std::vector<Plan> plans;
  for (const JsonField& plan : meta.required_array("plans"))
    plans.push_back(plan_from_json(plan.json(), file.path()));
  if (plans.empty()) throw bad_file(file.path(), "plans", "expected at least one plan");
  return plans;
}

}  // namespace

bool is_engine_dir(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(path / rank_file(0), error);
}

EngineManifest read_engine_manifest(const std::filesystem::path& engine_dir) {
  const Directory directory = Directory::open(engine_dir);
  const std::string file = directory.path_of("config.json").string();
  EngineManifest manifest{.file = file, .json = read_json_file(file)};
  const JsonObject root(manifest.json, file);
  const JsonObject header = root.required_object("octavo_engine");
  const int64_t version = header.required_int("format_version");
  if (version != kFormatVersion) {
    throw unsupported(
        file, "octavo_engine.format_version",
        fmt::format("this program reads version {}, got {}", kFormatVersion, version));
  }
  manifest.build_id = header.required_string("build_id");
  manifest.ranks = header.required_int("ranks", {1, 1024});
  manifest.config = engine_config_from_json(root.required_object("engine").json(), file);
  if (manifest.ranks != manifest.config.ranks()) {
    throw bad_file(file, "octavo_engine.ranks",
                   fmt::format("expected tp_size × pp_size, {}, got {}", manifest.config.ranks(),
                               manifest.ranks));
  }
  check_rank_files(directory, manifest.ranks);
  return manifest;
}

std::vector<Plan> read_engine_plans(const std::filesystem::path& engine_dir, int64_t rank) {
  return plans_of(open_rank_file(engine_dir, read_engine_manifest(engine_dir), rank));
}

std::shared_ptr<EngineImage> load_engine(const std::filesystem::path& engine_dir, ThreadPool& pool,
                                         int64_t rank) {
  EngineManifest manifest = read_engine_manifest(engine_dir);
  OCTAVO_CHECK(rank >= 0 && rank < manifest.ranks);
  const EngineFile file = open_rank_file(engine_dir, manifest, rank);
  check_small_files(engine_dir, manifest);
  auto image = std::make_shared<EngineImage>();
  image->config = std::move(manifest.config);
  image->rank = rank;
  image->plans = plans_of(file);
  const auto payload_bytes = static_cast<int64_t>(file.payload_bytes());
  const std::shared_ptr<std::byte[]> payload = allocate_host(payload_bytes);
  file.read_payload({payload.get(), static_cast<size_t>(payload_bytes)}, pool);
  file.verify_unchanged();
  for (const EngineTensor& tensor : file.tensors()) {
    image->weights.push_back(
        {tensor.name, Tensor(payload, tensor.offset, tensor.dtype, tensor.shape)});
  }
  return image;
}

}  // namespace octavo
