// Writing of engine directories.
// SPDX-License-Identifier: Apache-2.0
#include "builder/engine_writer.h"

#include <nlohmann/json.hpp>

#include "io/atomic_directory.h"
#include "io/engine_file_writer.h"
#include "io/engine_identity.h"

namespace octavo {
namespace {

nlohmann::json plans_json(const Blueprint& blueprint) {
  nlohmann::json plans = nlohmann::json::array();
  for (const Plan& plan : blueprint.plans) plans.push_back(to_json(plan));
  return plans;
}

std::vector<EngineTensor> declared_tensors(const Blueprint& blueprint) {
  std::vector<EngineTensor> tensors;
  for (const Blueprint::Weight& weight : blueprint.weights) {
    tensors.push_back(
        {.name = weight.name, .dtype = weight.info.dtype, .shape = weight.info.shape});
  }
  return tensors;
}

nlohmann::json checksums_of(const std::vector<std::pair<std::string, std::string>>& files) {
  nlohmann::json checksums = nlohmann::json::object();
  for (const auto& [name, text] : files) checksums[name] = file_checksum(text);
  return checksums;
}

}  // namespace

void write_engine(const ModelDir& model, const Blueprint& blueprint,
                  const std::filesystem::path& output_dir, const EngineWriteOptions& options) {
  AtomicDirectory output(output_dir,
                         {.overwrite = options.overwrite,
                          .inputs = {model.path},
                          .needed_bytes = static_cast<uint64_t>(blueprint.weight_bytes())});
  const nlohmann::json plans = plans_json(blueprint);
  const auto files = companion_files(model);
  nlohmann::json config = {{"engine", to_json(blueprint.config)},
                           {"model_config", model.config_json},
                           {"provenance", options.provenance},
                           {"files", checksums_of(files)}};
  const std::string id = engine_build_id(config, plans);
  config["octavo_engine"] = {{"format_version", 1}, {"build_id", id}, {"ranks", 1}};
  EngineFileWriter writer(output.create("rank0.engine"),
                          {{"build_id", id}, {"rank", 0}, {"plans", plans}},
                          declared_tensors(blueprint));
  int64_t done = 0;
  for (const Blueprint::Weight& weight : blueprint.weights) {
    const Tensor tensor = build_weight(weight, *model.weights);
    writer.append(weight.name, {tensor.data(), static_cast<size_t>(tensor.bytes())});
    if (options.progress) options.progress(++done, std::ssize(blueprint.weights));
  }
  writer.finish();
  model.verify_unchanged();
  for (const auto& [name, text] : files) output.write(name, text);
  output.commit(config.dump(2) + "\n");
}

}  // namespace octavo
