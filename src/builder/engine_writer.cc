// Writing of engine directories.
// SPDX-License-Identifier: Apache-2.0
#include "builder/engine_writer.h"

#include <xxhash.h>

#include <nlohmann/json.hpp>

#include "io/atomic_directory.h"
#include "io/engine_file_writer.h"

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

// Ties the files of one build together: rank files of another build are refused by it.
std::string build_id(const nlohmann::json& engine, const nlohmann::json& plans,
                     const nlohmann::json& provenance) {
  const std::string text = engine.dump() + plans.dump() + provenance.dump();
  return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

}  // namespace

void write_engine(const ModelDir& model, const Blueprint& blueprint,
                  const std::filesystem::path& output_dir, const EngineWriteOptions& options) {
  AtomicDirectory output(output_dir,
                         {.overwrite = options.overwrite,
                          .inputs = {model.path},
                          .needed_bytes = static_cast<uint64_t>(blueprint.weight_bytes())});
  const nlohmann::json engine = to_json(blueprint.config);
  const nlohmann::json plans = plans_json(blueprint);
  const std::string id = build_id(engine, plans, options.provenance);
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
  for (const auto& [name, text] : companion_files(model)) output.write(name, text);
  const nlohmann::json config = {
      {"octavo_engine", {{"format_version", 1}, {"build_id", id}, {"ranks", 1}}},
      {"engine", engine},
      {"model_config", model.config_json},
      {"provenance", options.provenance}};
  output.commit(config.dump(2) + "\n");
}

}  // namespace octavo
