// Greedy continuations of the first tokens of documents, as JSON: for comparing devices.
// SPDX-License-Identifier: Apache-2.0
//
// greedy_tool MODEL_DIR DATASET DEVICE [deterministic] [batch=N] [without=KERNEL,KERNEL] [dtype=T]
// [exact] [perplexity=N]: 32 tokens after the first 64 of each of 32 documents, N at a time.
// exact: no fusions, and of every op that has a reference, that alone (docs/numerics.md).
// perplexity=N: instead, over the first N tokens of the documents.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "api/devices.h"
#include "api/model_source.h"
#include "api/registry.h"
#include "builder/build.h"
#include "evaluate/perplexity.h"
#include "runtime/engine.h"
#include "text/documents.h"

namespace octavo {
namespace {

constexpr size_t kDocuments = 32;
constexpr size_t kPromptTokens = 64;
constexpr int64_t kTokens = 32;
constexpr int32_t kSequence = 128;

struct Settings {
  std::string model, dataset, device;
  bool deterministic = false;
  int64_t batch = kDocuments;
  std::string without;
  std::string dtype = "auto";
  bool exact = false;
  int64_t perplexity_tokens = 0;  // 0: greedy continuations
};

KernelRegistry registry_of(const Settings& settings) {
  const std::span<const Kernel> all = kernel_registry().all();
  const auto is_reference_of = [](const Kernel& one, const Kernel& other) {
    return one.traits.fallback && one.op == other.op && one.traits.device == other.traits.device;
  };
  KernelRegistry registry;
  for (const Kernel& kernel : all) {
    if (("," + settings.without + ",").find(fmt::format(",{},", kernel.name)) != std::string::npos)
      continue;
    if (settings.exact && !kernel.traits.fallback &&
        std::ranges::any_of(all, [&](const Kernel& k) { return is_reference_of(k, kernel); }))
      continue;
    registry.add({&kernel, 1});
  }
  if (const DeviceKernels* beside = kernel_registry().beside(DeviceType::kCuda))
    registry.add(*beside);
  return registry;
}

EngineImage build(const ModelDir& model, const Settings& settings, const BuildConfig& config,
                  const KernelRegistry& registry, Device& device) {
  const std::span<const Fusion> fusions =
      settings.exact ? std::span<const Fusion>() : fusion_table();
  return build_image(model, make_blueprint(model, config, registry, &device, fusions), registry,
                     &device);
}

nlohmann::json continue_documents(const Tokenizer& tokenizer, const Documents& documents,
                                  Engine& engine) {
  std::vector<std::vector<int32_t>> outputs;
  for (const std::string& text : documents.texts) {
    std::vector<int32_t> ids = tokenizer.encode(text, /*add_special_tokens=*/true);
    if (ids.size() < kPromptTokens || outputs.size() == kDocuments) continue;
    ids.resize(kPromptTokens);
    Request request{.prompt_token_ids = std::move(ids)};
    request.sampling.max_tokens = kTokens;
    request.sampling.ignore_eos = true;
    request.on_finish = [&outputs, i = outputs.size()](RequestOutput output) {
      outputs[i] = std::move(output.token_ids);
    };
    outputs.emplace_back();
    engine.submit(std::move(request));
  }
  engine.run_until_idle();
  return outputs;
}

nlohmann::json run(const Settings& settings) {
  ThreadPool pool;
  const std::shared_ptr<Device> device = open_device(resolve_device(settings.device), pool);
  const KernelRegistry registry = registry_of(settings);
  const ModelDir model = open_model_dir(settings.model);
  const BuildConfig config{.device = settings.device,
                           .dtype = settings.dtype,
                           .max_batch_size = settings.batch,
                           .max_num_tokens = 2048,
                           .max_seq_len = kSequence,
                           .deterministic = settings.deterministic};
  const auto image =
      std::make_shared<EngineImage>(build(model, settings, config, registry, *device));
  Runner runner(image, registry, *device, {});
  const Tokenizer tokenizer = Tokenizer::load(settings.model);
  const Documents documents = read_documents(settings.dataset, {});
  if (settings.perplexity_tokens > 0) {
    const std::vector<int32_t> stream = token_stream(tokenizer, documents.texts, -1);
    return measure_perplexity(
               runner, stream,
               {.context = kSequence, .max_tokens = settings.perplexity_tokens, .progress = {}})
        .value();
  }
  Engine engine({.scheduler = {.max_batch_size = static_cast<int32_t>(runner.max_batch_size()),
                               .max_num_tokens = static_cast<int32_t>(runner.max_num_tokens()),
                               .max_seq_len = kSequence,
                               .tokens_per_block = static_cast<int32_t>(config.tokens_per_block),
                               .num_blocks = static_cast<int32_t>(runner.num_blocks())},
                 .vocab_size = model.config.vocab_size},
                runner);
  return continue_documents(tokenizer, documents, engine);
}

Settings settings_of(int argc, char** argv) {
  Settings settings{.model = argv[1], .dataset = argv[2], .device = argv[3]};
  for (int i = 4; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "deterministic") settings.deterministic = true;
    if (word.starts_with("batch=")) settings.batch = std::stoll(word.substr(6));
    if (word.starts_with("without=")) settings.without = word.substr(8);
    if (word.starts_with("dtype=")) settings.dtype = word.substr(6);
    if (word == "exact") settings.exact = true;
    if (word.starts_with("perplexity=")) settings.perplexity_tokens = std::stoll(word.substr(11));
  }
  return settings;
}

}  // namespace
}  // namespace octavo

int main(int argc, char** argv) {
  if (argc < 4) {
    fmt::print(stderr,
               "usage: greedy_tool MODEL_DIR DATASET DEVICE [deterministic] [batch=N] "
               "[without=KERNEL,KERNEL] [dtype=T] [exact] [perplexity=N]\n");
    return 2;
  }
  try {
    fmt::print("{}\n", octavo::run(octavo::settings_of(argc, argv)).dump());
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
