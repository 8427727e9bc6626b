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

struct Totals {
  int64_t weights = 0, bytes = 0;

  void add(const Blueprint& blueprint) {
    weights += std::ssize(blueprint.weights);
    bytes += blueprint.weight_bytes();
  }
};

void write_weights(EngineFileWriter& writer, const ModelDir& model, const Blueprint& blueprint,
                   const std::function<void()>& progress) {
  const SlicedWeights source(model.weights, blueprint.slices);
  for (const Blueprint::Weight& weight : blueprint.weights) {
    const Tensor tensor = build_weight(weight, source);
    writer.append(weight.name, {tensor.data(), static_cast<size_t>(tensor.bytes())});
    progress();
  }
  writer.finish();
}

}  // namespace

void write_engine(const ModelDir& model, const std::vector<Blueprint>& ranks,
                  const std::filesystem::path& output_dir, const EngineWriteOptions& options) {
  Totals totals;
  for (const Blueprint& rank : ranks) totals.add(rank);
  AtomicDirectory output(output_dir, {.overwrite = options.overwrite,
                                      .inputs = {model.path},
                                      .needed_bytes = static_cast<uint64_t>(totals.bytes)});
  std::vector<nlohmann::json> plans;
  for (const Blueprint& rank : ranks) plans.push_back(plans_json(rank));
  const auto files = companion_files(model);
  nlohmann::json config = {{"engine", to_json(ranks.front().config)},
                           {"model_config", model.config_json},
                           {"provenance", options.provenance},
                           {"files", checksums_of(files)}};
  for (size_t rank = 1; rank < ranks.size(); ++rank)
    config["rank_plans"][engine_rank_file(rank)] = file_checksum(plans[rank].dump());
  const std::string id = engine_build_id(config, plans.front());
  config["octavo_engine"] = {{"format_version", 1}, {"build_id", id}, {"ranks", ranks.size()}};
  const auto progress = [&, done = int64_t{0}]() mutable {
    if (options.progress) options.progress(++done, totals.weights);
  };
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    EngineFileWriter writer(output.create(engine_rank_file(rank)),
                            {{"build_id", id}, {"rank", rank}, {"plans", plans[rank]}},
                            declared_tensors(ranks[rank]));
    write_weights(writer, model, ranks[rank], progress);
  }
  model.verify_unchanged();
  for (const auto& [name, text] : files) output.write(name, text);
  output.commit(config.dump(2) + "\n");
}

}  // namespace octavo
