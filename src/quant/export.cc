// Writing of a quantized checkpoint.
// SPDX-License-Identifier: Apache-2.0
#include "quant/export.h"

#include <algorithm>

#include "io/atomic_directory.h"
#include "io/safetensors_writer.h"
#include "quant/export_dialect.h"

namespace octavo {
namespace {

constexpr int64_t kPieceBytes = int64_t{64} << 20;  // of a tensor held at a time

void write_tensor(SafetensorsWriter& writer, const WeightSource& weights, const TensorSpec& spec) {
  const int64_t rows = spec.shape.rank() == 0 ? 1 : spec.shape[0];
  const int64_t row_bytes = rows == 0 ? 0 : static_cast<int64_t>(spec.bytes()) / rows;
  const int64_t rows_at_once = std::clamp<int64_t>(kPieceBytes / std::max<int64_t>(row_bytes, 1), 1,
                                                   std::max<int64_t>(rows, 1));
  const std::shared_ptr<std::byte[]> piece = allocate_host(rows_at_once * row_bytes);
  for (int64_t row = 0; row < rows; row += rows_at_once) {
    const auto bytes = static_cast<size_t>(std::min(rows_at_once, rows - row) * row_bytes);
    weights.read(spec.name, row, {piece.get(), bytes});
    writer.append(spec.name, {piece.get(), bytes});
  }
}

}  // namespace

void export_checkpoint(const ModelDir& model, const QuantizationPlan& plan,
                       const std::filesystem::path& output_dir, const ExportOptions& options) {
  const auto quantized = std::make_shared<QuantizedWeights>(model.weights, model, plan);
  const DialectWeights weights(quantized, options.format, model, plan);
  std::vector<TensorSpec> specs;
  uint64_t bytes = 0;
  for (const std::string& name : weights.names()) {
    const WeightInfo info = *weights.info(name);
    specs.push_back({name, info.dtype, info.shape});
    bytes += specs.back().bytes();
  }
  std::vector<std::filesystem::path> inputs = options.inputs;
  inputs.push_back(model.path);
  AtomicDirectory output(output_dir,
                         {.overwrite = options.overwrite, .inputs = inputs, .needed_bytes = bytes});
  SafetensorsWriter writer(output, specs);
  int64_t done = 0;
  for (const TensorSpec& spec : specs) {
    write_tensor(writer, weights, spec);
    if (options.progress) options.progress(++done, std::ssize(specs));
  }
  writer.finish();
  model.verify_unchanged();
  for (const auto& [name, text] : companion_files(model)) output.write(name, text);
  output.write("octavo_manifest.json", options.manifest.dump(2) + "\n");
  nlohmann::json config = model.config_json;
  if (options.format == ExportFormat::kModelOpt) {
    output.write("hf_quant_config.json", hf_quant_config_json(plan.quantization).dump(2) + "\n");
    config["quantization_config"] = quantization_config_json(plan.quantization);
  } else {
    config["quantization_config"] = compressed_tensors_json(with_names(plan.quantization, model));
  }
  output.commit(config.dump(2) + "\n");
}

}  // namespace octavo
