// Opening and checking of a model folder.
// SPDX-License-Identifier: Apache-2.0
#include "model/model_dir.h"

#include "core/log.h"
#include "io/directory.h"
#include "io/json.h"
#include "model/checkpoint_weights.h"
#include "model/dummy_weights.h"

namespace octavo {
namespace {

// Collects what does not fit, so that one message tells all.
class Findings {
 public:
  void add(std::string finding) {
    if (count_++ < 10) text_ += (text_.empty() ? "" : "; ") + finding;
  }
  void throw_if_any(const std::string& file) const {
    if (count_ > 0)
      throw bad_file(file, "",
                     fmt::format("{} tensors do not fit config.json: {}{}", count_, text_,
                                 count_ > 10 ? "; …" : ""));
  }

 private:
  int count_ = 0;
  std::string text_;
};

bool equal_bytes(const WeightSource& weights, std::string_view a, std::string_view b) {
  const Tensor x = read_tensor(weights, a), y = read_tensor(weights, b);
  return x.dtype() == y.dtype() && x.shape() == y.shape() &&
         std::equal(x.data(), x.data() + x.bytes(), y.data());
}

void check_tensors(const ModelDir& model) {
  Findings findings;
  for (const ModelTensor& tensor : model_tensors(*model.architecture, model.config)) {
    const std::optional<WeightInfo> info = model.weights->info(tensor.name);
    if (!info) {
      findings.add(fmt::format("{}: expected {}, got none", printable(tensor.name),
                               to_string(tensor.shape)));
    } else if (info->shape != tensor.shape) {
      findings.add(fmt::format("{}: expected {}, got {}", printable(tensor.name),
                               to_string(tensor.shape), to_string(info->shape)));
    } else if (!is_float(info->dtype)) {
      findings.add(fmt::format("{}: expected a float type, got {}", printable(tensor.name),
                               to_string(info->dtype)));
    } else if (info->dtype == DType::kE4M3 &&
               (!model.quantization.weights.quantized() ||
                is_excluded(model.quantization.exclude_modules, tensor.module))) {
      findings.add(fmt::format("{}: expected 16-bit, as the quantization config says, got {}",
                               printable(tensor.name), to_string(info->dtype)));
    }
  }
  findings.throw_if_any(model.path.string());
  const bool extra_head = model.config.tie_word_embeddings && model.weights->info("lm_head.weight");
  if (extra_head && !equal_bytes(*model.weights, "lm_head.weight", "model.embed_tokens.weight")) {
    throw bad_file(
        model.path.string(), "lm_head.weight",
        "expected none or the embedding where tie_word_embeddings is true, got another matrix");
  }
}

std::optional<nlohmann::json> read_optional_json(const Directory& directory,
                                                 std::string_view name) {
  if (!directory.contains(name)) return std::nullopt;
  return read_json_file(directory.path_of(name));
}

void read_configs(ModelDir& model, const Directory& directory) {
  const std::string file = (model.path / "config.json").string();
  if (!directory.contains("config.json")) throw bad_file(file, "", "expected a file, got none");
  model.config_json = read_json_file(file);
  if (!model.config_json.is_object()) throw bad_file(file, "", "expected a JSON object");
  model.architecture = &find_architecture(model.config_json, file);
  model.config = model.architecture->read_config(model.config_json, file);
  if (const auto generation = read_optional_json(directory, "generation_config.json")) {
    merge_generation_config(model.config, *generation,
                            (model.path / "generation_config.json").string());
  }
  if (model.config.eos_token_ids.empty()) {
    log_warning("{}: no eos_token_id: sequences end by length alone",
                printable(model.path.string()));
  }
  const auto quant_file = read_optional_json(directory, "hf_quant_config.json");
  model.quantization = read_quantization_config(quant_file ? &*quant_file : nullptr,
                                                model.config_json, model.path.string());
}

}  // namespace

void ModelDir::verify_unchanged() const {
  if (const auto* checkpoint = dynamic_cast<const CheckpointWeights*>(weights.get())) {
    checkpoint->checkpoint().verify_unchanged();
  }
}

ModelDir open_model_dir(const std::filesystem::path& path, LoadFormat load_format,
                        const CheckpointQuantization& dummy_quantization) {
  ModelDir model;
  model.path = path;
  const Directory directory = Directory::open(path);
  read_configs(model, directory);
  model.has_tokenizer = directory.contains("tokenizer.json");
  if (load_format == LoadFormat::kDummy) {
    model.quantization = dummy_quantization;
    model.weights =
        std::make_shared<DummyWeights>(*model.architecture, model.config, dummy_quantization);
    for (const std::string& name : model.weights->names()) {
      const WeightInfo info = *model.weights->info(name);
      model.weight_bytes += static_cast<uint64_t>(info.shape.elements() * size_of(info.dtype));
    }
    return model;
  }
  auto weights = std::make_shared<CheckpointWeights>(path);
  model.weight_bytes = weights->checkpoint().total_bytes();
  model.weights = std::move(weights);
  check_tensors(model);
  return model;
}

std::vector<std::pair<std::string, std::string>> companion_files(const ModelDir& model) {
  const Directory directory = Directory::open(model.path);
  std::vector<std::pair<std::string, std::string>> files;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json",
                           "special_tokens_map.json", "chat_template.jinja"}) {
    if (directory.contains(name)) files.emplace_back(name, directory.open_file(name).read_text());
  }
  return files;
}

}  // namespace octavo
