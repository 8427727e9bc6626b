// Opening and checking of a model folder.
// SPDX-License-Identifier: Apache-2.0
#include "model/model_dir.h"

#include "core/log.h"
#include "io/directory.h"
#include "io/json.h"
#include "model/canonical_weights.h"
#include "model/checkpoint_weights.h"
#include "model/dummy_weights.h"
#include "numerics/scale.h"

namespace octavo {
namespace {

// Collects what does not fit, so that one message tells all.
class Findings {
 public:
  void add(std::string finding) {
    const bool all_before = shown_ == count_++;
    if (!all_before || shown_ == 10 || text_.size() + finding.size() > kMaxBytes) return;
    ++shown_;
    text_ += (text_.empty() ? "" : "; ") + finding;
  }
  void throw_if_any(const std::string& file) const {
    if (count_ > 0)
      throw bad_file(file, "",
                     fmt::format("{} tensors do not fit config.json: {}{}", count_, text_,
                                 shown_ < count_ ? "; …" : ""));
  }

 private:
  static constexpr size_t kMaxBytes = 900;  // an error is one line

  int count_ = 0, shown_ = 0;
  std::string text_;
};

bool equal_bytes(const WeightSource& weights, std::string_view a, std::string_view b) {
  const Tensor x = read_tensor(weights, a), y = read_tensor(weights, b);
  return x.dtype() == y.dtype() && x.shape() == y.shape() &&
         std::equal(x.data(), x.data() + x.bytes(), y.data());
}

// Codes where the quantization config says so, a float type elsewhere.
void check_type(const ModelTensor& tensor, const WeightInfo& info, const LinearScheme& scheme,
                Findings& findings) {
  const auto mismatch = [&](std::string_view expected) {
    findings.add(fmt::format("{}: expected {}, got {}", printable(tensor.name), expected,
                             to_string(info.dtype)));
  };
  if (scheme.quantized() && tensor.lowest == Precision::kEightBit) {
    if (info.dtype != scheme.weights.element)
      mismatch(
          fmt::format("{}, as the quantization config says", to_string(scheme.weights.element)));
  } else if (is_code(info.dtype) && info.dtype != scheme.weights.element) {
    mismatch("16-bit, as the quantization config says");
  } else if (!is_code(info.dtype) && !is_float(info.dtype)) {
    mismatch("a float type");
  }
}

// A scale far from any that a weight or an activation could need: stored as its inverse, or broken.
constexpr float kSmallestUsual = 1e-6f, kLargestUsual = 1e6f;

void check_scale(const ModelDir& model, const std::string& name, const Shape& shape,
                 Findings& findings) {
  const std::optional<WeightInfo> info = model.weights->info(name);
  if (!info) return findings.add(fmt::format("{}: expected a scale, got none", printable(name)));
  if (info->dtype != DType::kF32 || info->shape != shape)
    return findings.add(fmt::format("{}: expected float scales of shape {}, got {} {}",
                                    printable(name), to_string(shape), to_string(info->dtype),
                                    to_string(info->shape)));
  const Tensor scales = read_tensor(*model.weights, name);
  float largest = 0.0f;
  for (int64_t i = 0; i < scales.shape().elements(); ++i) {
    const float scale = scales.as<float>()[i];
    if (!valid_scale(scale))
      return findings.add(fmt::format("{}: expected finite positive scales, got {} at index {}",
                                      printable(name), scale, i));
    largest = std::max(largest, scale);
  }
  const float amax = largest * kE4M3Max;
  if (amax < kSmallestUsual || amax > kLargestUsual)
    log_warning("{}: its scales make values up to {}, which is unusual: are they inverses?",
                printable(name), amax);
}

void check_scales(const ModelDir& model, const ModelTensor& tensor, Findings& findings) {
  const std::optional<WeightInfo> info = model.weights->info(tensor.name);
  if (!info || tensor.shape.rank() != 2) return;
  const std::string weight_scale = tensor.module + ".weight_scale";
  if (!is_code(info->dtype)) {
    if (model.weights->info(weight_scale))
      findings.add(
          fmt::format("{}: expected none beside a 16-bit weight", printable(weight_scale)));
    return;
  }
  const LinearScheme scheme = model.quantization.scheme_of(tensor.module);
  if (!scheme.quantized()) return;  // the weight's type is reported
  check_scale(model, weight_scale, scale_shape(scheme.weights, tensor.shape[0], tensor.shape[1]),
              findings);
  if (scheme.inputs.quantized() && !scheme.inputs.dynamic)
    check_scale(model, tensor.module + ".input_scale", {}, findings);
}

void check_cache_scale(const ModelDir& model, const ModelTensor& tensor, Findings& findings) {
  if (tensor.role != Role::kK && tensor.role != Role::kV) return;
  const std::string name = tensor.module + (tensor.role == Role::kK ? ".k_scale" : ".v_scale");
  // Without any the builder says what to do where they are asked for.
  if (model.weights->info(name)) check_scale(model, name, {}, findings);
}

// Names of modules that no tensor has are usual: of other parts of a larger model.
void warn_about_patterns(const ModelDir& model, const std::vector<ModelTensor>& tensors) {
  std::string unmatched;
  for (const std::string& pattern : model.quantization.exclude_modules) {
    const bool found = std::any_of(tensors.begin(), tensors.end(), [&](const ModelTensor& tensor) {
      return module_matches(pattern, tensor.module);
    });
    if (!found && !pattern.starts_with("*."))
      unmatched += (unmatched.empty() ? "\"" : ", \"") + printable(pattern) + "\"";
  }
  if (!unmatched.empty())
    log_warning("{}: excluded modules that the model does not have: {}",
                printable(model.path.string()), unmatched);
}

void check_tensors(const ModelDir& model, const std::vector<std::string>& more_findings) {
  Findings findings;
  for (const std::string& finding : more_findings) findings.add(finding);
  const std::vector<ModelTensor> tensors = model_tensors(*model.architecture, model.config);
  warn_about_patterns(model, tensors);
  for (const ModelTensor& tensor : tensors) {
    check_scales(model, tensor, findings);
    check_cache_scale(model, tensor, findings);
    const std::optional<WeightInfo> info = model.weights->info(tensor.name);
    if (!info) {
      findings.add(fmt::format("{}: expected {}, got none", printable(tensor.name),
                               to_string(tensor.shape)));
    } else if (info->shape != stored_shape(tensor.shape, info->dtype)) {
      findings.add(fmt::format("{}: expected {}, got {}", printable(tensor.name),
                               to_string(stored_shape(tensor.shape, info->dtype)),
                               to_string(info->shape)));
    } else {
      check_type(tensor, *info, model.quantization.scheme_of(tensor.module), findings);
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
  if (weights != nullptr) weights->verify_unchanged();
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
  const auto canonical = std::make_shared<CanonicalWeights>(
      std::move(weights), model_tensors(*model.architecture, model.config), model.quantization);
  model.weights = canonical;
  check_tensors(model, canonical->findings());
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
