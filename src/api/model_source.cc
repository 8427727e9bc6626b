// Loading of engines and checkpoints.
// SPDX-License-Identifier: Apache-2.0
#include "api/model_source.h"

#include <unistd.h>

#include <algorithm>

#include "api/devices.h"
#include "api/processes.h"
#include "api/registry.h"
#include "api/tuning.h"
#include "backend/cuda/comm/nccl_group.h"
#include "builder/build.h"
#include "core/checked.h"
#include "core/log.h"
#include "quant/algorithm.h"
#include "runtime/engine_loader.h"

namespace octavo {
namespace {

CheckpointQuantization dummy_quantization(const ModelOptions& options) {
  CheckpointQuantization quantization;
  const std::string qformat = options.qformat == "auto" ? "full_prec" : options.qformat;
  const QuantFormat& format = find_quant_format(qformat);
  quantization.weights = format.linears.weights;
  quantization.inputs = format.linears.inputs;
  if (options.build_config.kv_cache_dtype == "fp8") quantization.kv_cache = kFp8PerTensor;
  if (quantization.weights.quantized() || quantization.kv_cache) quantization.method = "modelopt";
  return quantization;
}

std::optional<Tokenizer> load_tokenizer(const std::filesystem::path& folder, int64_t vocab_size) {
  std::error_code error;
  if (!std::filesystem::exists(folder / "tokenizer.json", error)) return std::nullopt;
  Tokenizer tokenizer = Tokenizer::load(folder);
  tokenizer.check_fits(vocab_size);
  return tokenizer;
}

// Refused before the first weight fills memory, not after the last one that fits.
void require_memory(int64_t weight_bytes) {
  const int64_t memory = sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
  if (weight_bytes <= memory) return;
  throw Error(ErrorCategory::kOutOfMemory,
              fmt::format("the weights need {} bytes, this machine has {}", weight_bytes, memory));
}

void require_memory(int64_t weight_bytes, const Device& device) {
  if (device.type() == DeviceType::kCpu) return require_memory(weight_bytes);
  const int64_t free = device.free_memory();
  if (weight_bytes <= free) return;
  throw Error(ErrorCategory::kOutOfMemory,
              fmt::format("the weights need {} bytes, {} has {} free", weight_bytes,
                          device.properties().name, free));
}

// Weights that all ranks have loaded so far.
class WeightProgress {
 public:
  WeightProgress(const std::vector<Blueprint>& blueprints, Progress& progress)
      : progress_(progress) {
    for (const Blueprint& rank : blueprints) total_ += std::ssize(rank.weights);
  }
  void step() { progress_.update(++done_, total_, "loading weights"); }

 private:
  Progress& progress_;
  int64_t done_ = 0, total_ = 0;
};

// Where the ranks of this process run, and what they say to the others by.
struct RankPlaces {
  std::vector<int64_t> ranks;  // of the engine
  std::vector<std::shared_ptr<Device>> devices;
  std::vector<std::shared_ptr<Communicator>> comms;
};

// `first` is the device of the first of them.
RankPlaces open_places(const std::shared_ptr<Device>& first, ThreadPool& pool,
                       const EngineConfig& config, const std::shared_ptr<ProcessGroup>& processes) {
  RankPlaces places;
  if (processes != nullptr) {
    const RankPlace place = place_of(*processes, config.tp_size, config.pp_size);
    places.ranks = {place.rank};
    places.devices = {first};
    places.comms = {open_nccl_rank(*places.devices.front(), processes, place)};
    return places;
  }
  for (int64_t rank = 0; rank < config.ranks(); ++rank) places.ranks.push_back(rank);
  places.devices = config.ranks() == 1
                       ? std::vector{first}
                       : open_devices(std::string(to_string(first->type())), pool, config.ranks());
  places.comms = open_comms(places.devices, config);
  return places;
}

void add_rank(LoadedModel& loaded, RankImage rank) {
  if (loaded.image != nullptr) return loaded.other_ranks.push_back(std::move(rank));
  loaded.device = std::move(rank.device);
  loaded.image = std::move(rank.image);
  loaded.comm = std::move(rank.comm);
}

int64_t weight_bytes_of(const EngineImage& image) {
  int64_t bytes = 0;
  for (const EngineWeight& weight : image.weights) bytes += weight.tensor.bytes();
  return bytes;
}

// "auto" is where the engine was built for.
void check_device(const std::string& resolved, const std::string& asked,
                  const std::string& built_for) {
  if (asked != "auto" && resolved != built_for) {
    throw Error(ErrorCategory::kUnsupported,
                fmt::format("--device {}: the engine was built for {}; build it again for another",
                            asked, built_for));
  }
  if (built_for != "cpu") resolve_device(built_for);  // says what is missing
}

// An engine runs as it was built: an option that asks for something else is refused, not ignored.
void check_as_built(const BuildConfig& asked, const EngineConfig& built) {
  const BuildConfig unset;
  const auto check = [](const char* flag, const auto& value, const auto& default_value,
                        const auto& built_value) {
    if (value == default_value || value == built_value) return;
    throw Error(ErrorCategory::kUnsupported,
                fmt::format("--{} {}: the engine was built for {}; build it again for another",
                            flag, value, built_value));
  };
  check("dtype", asked.dtype, unset.dtype, built.dtype);
  check("kv_cache_dtype", asked.kv_cache_dtype, unset.kv_cache_dtype, built.kv_cache_dtype);
  check("tokens_per_block", asked.tokens_per_block, unset.tokens_per_block, built.tokens_per_block);
  check("tp_size", asked.tp_size, unset.tp_size, built.tp_size);
  check("pp_size", asked.pp_size, unset.pp_size, built.pp_size);
  check("max_seq_len", asked.max_seq_len.value_or(built.max_seq_len), built.max_seq_len,
        built.max_seq_len);
  check("max_input_len", asked.max_input_len.value_or(built.max_input_len), built.max_input_len,
        built.max_input_len);
  if (asked.plugin_config != unset.plugin_config) {
    throw Error(ErrorCategory::kUnsupported,
                "plugin flags are part of an engine: give them to `octavo build`");
  }
}

}  // namespace

const Tokenizer& LoadedModel::required_tokenizer() const {
  if (!tokenizer) {
    Tokenizer::load(source);  // says what is there instead
    throw bad_file((source / "tokenizer.json").string(), "", "appeared while the model was loaded");
  }
  return *tokenizer;
}

std::vector<RankImage> LoadedModel::ranks() const {
  std::vector<RankImage> all = {{image, device, comm}};
  all.insert(all.end(), other_ranks.begin(), other_ranks.end());
  return all;
}

int64_t LoadedModel::weight_bytes() const {
  int64_t bytes = 0;
  for (const RankImage& rank : ranks()) bytes += weight_bytes_of(*rank.image);
  return bytes;
}

ModelOptions with_device(ModelOptions options) {
  options.build_config.device = resolve_device(options.build_config.device);
  return options;
}

LoadedModel build_in_memory(const ModelDir& model, const BuildConfig& asked, ThreadPool& pool,
                            Progress& progress, const std::shared_ptr<ProcessGroup>& processes) {
  BuildConfig config = asked;
  config.device = resolve_device(asked.device);
  const std::string& device = config.device;
  const std::shared_ptr<Device> first =
      open_device(device, pool, processes == nullptr ? 0 : local_gpu());
  TuningRecords records = open_tuning_records(first->properties());
  std::vector<Blueprint> blueprints = make_blueprints(
      model, config, kernel_registry(), first.get(),
      {.records = &records, .devices = processes == nullptr ? 0 : processes->size()});
  if (processes == nullptr || processes->leads()) {
    for (const std::string& notice : blueprints.front().notices) log_info("{}", notice);
  }
  int64_t weight_bytes = 0;
  const bool one_memory = first->type() == DeviceType::kCpu;
  for (const Blueprint& rank : blueprints) {
    weight_bytes = one_memory ? weight_bytes + rank.weight_bytes()
                              : std::max(weight_bytes, rank.weight_bytes());
  }
  require_memory(weight_bytes, *first);
  LoadedModel loaded{.source = model.path};
  loaded.tokenizer = load_tokenizer(model.path, model.config.vocab_size);
  const RankPlaces places = open_places(first, pool, blueprints.front().config, processes);
  WeightProgress loading(blueprints, progress);
  for (size_t i = 0; i < places.ranks.size(); ++i) {
    auto image = std::make_shared<EngineImage>(build_image(
        model, std::move(blueprints[static_cast<size_t>(places.ranks[i])]), kernel_registry(),
        places.devices[i].get(), [&](int64_t, int64_t) { loading.step(); }));
    add_rank(loaded, {std::move(image), places.devices[i], places.comms[i]});
  }
  loaded.processes = processes;
  progress.finish();
  return loaded;
}

LoadFormat load_format_of(const std::string& name) {
  if (name == "auto") return LoadFormat::kAuto;
  if (name == "dummy") return LoadFormat::kDummy;
  throw Error(ErrorCategory::kUsage,
              fmt::format("--load_format: expected auto|dummy, got \"{}\"", printable(name)));
}

ModelDir open_model(const ModelOptions& options) {
  const LoadFormat format = load_format_of(options.load_format);
  if (format == LoadFormat::kAuto && options.qformat != "auto") {
    throw Error(ErrorCategory::kUnsupported,
                "--qformat with real weights: run `octavo quantize` first and give its output as "
                "--model_dir");
  }
  return open_model_dir(
      options.model_dir, format,
      format == LoadFormat::kDummy ? dummy_quantization(options) : CheckpointQuantization{});
}

LoadedModel load_model(const ModelOptions& asked, ThreadPool& pool, Progress& progress) {
  const ModelOptions options = with_device(asked);
  if (options.engine_dir.empty() == options.model_dir.empty()) {
    throw Error(ErrorCategory::kUsage, "expected either --engine_dir or --model_dir");
  }
  if (!options.model_dir.empty()) {
    const ModelDir model = open_model(options);
    const BuildConfig& build = options.build_config;
    const auto processes =
        open_processes(options.communicator, build.device, build.tp_size, build.pp_size);
    return build_in_memory(model, build, pool, progress, processes);
  }
  progress.update(0, 1, "loading engine");
  const EngineManifest manifest = read_engine_manifest(options.engine_dir);
  check_device(options.build_config.device, asked.build_config.device, manifest.config.device);
  LoadedModel loaded{.source = options.engine_dir};
  loaded.processes = open_processes(options.communicator, manifest.config.device,
                                    manifest.config.tp_size, manifest.config.pp_size);
  if (loaded.processes != nullptr)
    loaded.processes->agree("the engine's build_id", manifest.build_id);
  const std::shared_ptr<Device> first =
      open_device(manifest.config.device, pool, loaded.processes == nullptr ? 0 : local_gpu());
  const RankPlaces places = open_places(first, pool, manifest.config, loaded.processes);
  for (size_t i = 0; i < places.ranks.size(); ++i) {
    const std::shared_ptr<Device>& device = places.devices[i];
    const std::shared_ptr<EngineImage> image =
        load_engine(options.engine_dir, pool, places.ranks[i]);
    require_memory(weight_bytes_of(*image), *device);
    for (EngineWeight& weight : image->weights)
      weight.tensor = on_device(std::move(weight.tensor), *device);
    add_rank(loaded, {image, device, places.comms[i]});
  }
  check_as_built(options.build_config, loaded.image->config);
  loaded.tokenizer = load_tokenizer(options.engine_dir, loaded.image->config.vocab_size);
  progress.update(1, 1, "loading engine");
  progress.finish();
  return loaded;
}

RuntimeOptions with_engine_limits(RuntimeOptions runtime, const ModelOptions& model) {
  if (model.engine_dir.empty()) return runtime;
  const auto limit = [](int64_t& value, int64_t asked, int64_t unset) {
    if (value == 0 && asked != unset) value = asked;
  };
  const BuildConfig unset;
  limit(runtime.max_batch_size, model.build_config.max_batch_size, unset.max_batch_size);
  limit(runtime.max_num_tokens, model.build_config.max_num_tokens, unset.max_num_tokens);
  return runtime;
}

RunnerOptions runner_options(const EngineConfig& config, const RuntimeOptions& options) {
  const auto limited = [](const char* flag, int64_t asked, int64_t built) {
    if (asked <= built) return asked;
    throw Error(ErrorCategory::kUnsupported,
                fmt::format("--{} {}: the engine was built for {}; build it again for more", flag,
                            asked, built));
  };
  const KvCacheConfig& cache = options.kv_cache_config;
  if (!(cache.free_gpu_memory_fraction > 0.0 && cache.free_gpu_memory_fraction < 1.0)) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("--kv_cache_free_gpu_mem_fraction: expected a number between 0 and "
                            "1, both excluded, got {}",
                            cache.free_gpu_memory_fraction));
  }
  return {
      .max_batch_size = limited("max_batch_size", options.max_batch_size, config.max_batch_size),
      .max_num_tokens = limited("max_num_tokens", options.max_num_tokens, config.max_num_tokens),
      .num_blocks = ceil_div(cache.max_tokens, config.tokens_per_block),
      .free_memory_fraction = cache.free_gpu_memory_fraction};
}

RunnerOptions runner_options(const LoadedModel& model, const RuntimeOptions& options) {
  RunnerOptions runner = runner_options(model.image->config, options);
  runner.processes = model.processes;
  return runner;
}

}  // namespace octavo
