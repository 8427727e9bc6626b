// Construction of plans and weights.
// SPDX-License-Identifier: Apache-2.0
#include "builder/build.h"

#include <algorithm>
#include <limits>
#include <set>

#include "builder/apply_quantization.h"
#include "builder/kernel_timer.h"
#include "builder/logit_rows.h"
#include "builder/neighbour_tactics.h"
#include "builder/shard.h"
#include "core/checked.h"
#include "core/host_device.h"
#include "model/place_tensor.h"
#include "program/interpreter.h"
#include "program/rewrite.h"

namespace octavo {
namespace {

// Ranks are threads of the host, or have a GPU each.
int64_t usable_devices(const BuildConfig& options, const Device* device) {
  if (device != nullptr) return device->properties().devices;
  return resolved_device(options) == DeviceType::kCpu ? kHostRanks : 1;
}

// What a plan's kernels must run on.
struct BuildTarget {
  KernelTarget kernels = DeviceType::kCpu;
  bool deterministic = false;  // batch-invariant kernels only
  PluginConfig plugins;
  KernelTimer* timer = nullptr;  // null: candidates are ranked, not measured
  GroupTimer* group = nullptr;   // null: so are those of calls between ranks
  bool competing = false;        // fusions of a rank's own calls compete with those

  bool measures_on_all(const Problem& problem) const {
    return group != nullptr && GroupTimer::measures(problem);
  }
  bool measures(const Problem& problem) const {
    return timer != nullptr &&
           (KernelTimer::measures(problem) ||
            (competing && (problem.op == Op::kSwiglu || problem.op == Op::kGroupedSwiglu)));
  }
};

bool has_fp8_linear(const ModelDir& model) {
  for (const ModelTensor& tensor : model_tensors(*model.architecture, model.config)) {
    const std::optional<WeightInfo> info = model.weights->info(tensor.name);
    if (info && info->dtype == DType::kE4M3) return true;
  }
  return false;
}

bool has_dynamic_inputs(const CheckpointQuantization& quantization) {
  std::vector<QuantScheme> inputs = {quantization.inputs};
  for (const ModuleScheme& module : quantization.modules) inputs.push_back(module.scheme.inputs);
  std::erase_if(inputs, [](const QuantScheme& scheme) { return !scheme.quantized(); });
  return !inputs.empty() &&
         std::ranges::all_of(inputs, [](const QuantScheme& scheme) { return scheme.dynamic; });
}

bool has_kv_scales(const ModelDir& model) {
  for (const ModelTensor& tensor : model_tensors(*model.architecture, model.config)) {
    if (tensor.role == Role::kK && !model.weights->info(tensor.module + ".k_scale")) return false;
    if (tensor.role == Role::kV && !model.weights->info(tensor.module + ".v_scale")) return false;
  }
  return true;
}

bool quantizes_kv(const ModelDir& model, const BuildConfig& options) {
  if (options.kv_cache_dtype == "auto") return model.quantization.kv_cache.has_value();
  return options.kv_cache_dtype == "fp8";
}

EngineConfig engine_config(const ModelDir& model, const BuildConfig& options) {
  const DType dtype = activation_dtype(options, model.config);
  const int64_t max_seq_len = resolved_max_seq_len(options, model.config);
  return {.model_type = model.config.model_type,
          .device = std::string(to_string(resolved_device(options))),
          .dtype = std::string(to_string(dtype)),
          .quantization = quantization_name(model.quantization),
          .kv_cache_dtype = quantizes_kv(model, options) ? "fp8" : std::string(to_string(dtype)),
          .vocab_size = model.config.vocab_size,
          .num_layers = model.config.num_layers,
          .num_kv_heads = model.config.num_kv_heads,
          .head_dim = model.config.head_dim,
          .max_batch_size = options.max_batch_size,
          .max_num_tokens = options.max_num_tokens,
          .max_seq_len = max_seq_len,
          .max_input_len = std::min(options.max_input_len.value_or(max_seq_len), max_seq_len),
          .tokens_per_block = options.tokens_per_block,
          .tp_size = options.tp_size,
          .pp_size = options.pp_size,
          .bos_token_id = model.config.bos_token_id,
          .eos_token_ids = model.config.eos_token_ids};
}

std::optional<DType> dtype_of_plugin(const std::string& gemm_plugin) {
  if (gemm_plugin == "fp8") return DType::kE4M3;
  if (gemm_plugin == "bfloat16") return DType::kBF16;
  return std::nullopt;
}

// SwiGLU behind the low-latency linear: by its own flag, or as what the other two flags have in
// common.
bool admits_low_latency_swiglu(const PluginConfig& plugins) {
  return plugins.low_latency_gemm_swiglu_plugin != "disable" ||
         (plugins.gemm_swiglu_plugin != "disable" && plugins.low_latency_gemm_plugin != "disable");
}

// Whether the plugin flags admit a kernel for this call. A GEMM plugin of a type leaves to it the
// library and the plugins that are on.
bool is_admitted(const Kernel& kernel, const Problem& problem, const PluginConfig& plugins) {
  const std::string_view plugin = kernel.traits.plugin;
  if (plugin == "gemm_plugin") return plugins.gemm_plugin != "disable";
  if (plugin == "low_latency_gemm_plugin") return plugins.low_latency_gemm_plugin != "disable";
  if (plugin == "gemm_swiglu_plugin") return plugins.gemm_swiglu_plugin != "disable";
  if (plugin == "low_latency_gemm_swiglu_plugin") return admits_low_latency_swiglu(plugins);
  if (plugin == "use_fp8_context_fmha") return plugins.use_fp8_context_fmha;
  return problem.op != Op::kLinear ||
         problem.inputs[0].dtype != dtype_of_plugin(plugins.gemm_plugin);
}

// Whether a plugin alone brought the call, which can always be left unfused.
bool is_of_plugin(Op op) {
  return op == Op::kLinearSwiglu || op == Op::kGroupedLinearSwiglu || op == Op::kAddRmsNormLinear;
}

// Leaves out what the plugin flags do not admit, unless nothing but a fallback would be left.
void drop_plugins(std::vector<const Kernel*>& candidates, const Problem& problem,
                  const BuildTarget& target) {
  std::vector<const Kernel*> kept;
  for (const Kernel* kernel : candidates) {
    if (is_admitted(*kernel, problem, target.plugins)) kept.push_back(kernel);
  }
  const auto is_choice = [](const Kernel* kernel) { return !kernel->traits.fallback; };
  if (is_of_plugin(problem.op) || std::ranges::any_of(kept, is_choice) ||
      std::ranges::none_of(candidates, is_choice))
    candidates = std::move(kept);
}

// Throws where a fused call would run what it replaced: that is left unfused.
KernelTime chosen(const Problem& problem, KernelTime choice) {
  if (!choice.kernel->traits.unfused) return choice;
  throw Error(ErrorCategory::kUnsupported,
              fmt::format("[{}] no kernel that is faster than its parts", to_string(problem.op)));
}

KernelTime choose_kernel(const Problem& problem, const KernelRegistry& registry,
                         const BuildTarget& target) {
  std::vector<const Kernel*> candidates = registry.candidates(problem, target.kernels);
  if (target.deterministic)
    std::erase_if(candidates, [](const Kernel* k) { return !k->traits.batch_invariant; });
  drop_plugins(candidates, problem, target);
  if (target.measures_on_all(problem) && !candidates.empty())
    return target.group->time(problem, candidates).front();
  if (target.measures(problem)) {
    const std::vector<KernelTime>& times = target.timer->time(problem, candidates);
    if (!times.empty()) return chosen(problem, times.front());
  }
  if (!candidates.empty()) return chosen(problem, {.kernel = candidates.front()});
  const char* const reason = is_of_plugin(problem.op)
                                 ? "no kernel that the plugin flags admit"
                                 : "--deterministic: none of the kernels for this call gives a row "
                                   "the same result whatever "
                                   "else runs with it";
  throw Error(ErrorCategory::kUnsupported, fmt::format("[{}] {}", to_string(problem.op), reason));
}

// Whether the call has about as many rows as were planned. A mixed step asks for the logits of a
// few of its tokens; what is best for a row of each would be twice as slow for them as the kernel's
// own choice.
bool has_planned_rows(const Program& program, const Call& call, const Plan& plan) {
  return plan.kind == PlanKind::kDecode || call.inputs.empty() ||  // as those of recv
         program.tensor(call.inputs.front()).shape.front().symbol == Symbol::kTokens;
}

// What was asked for stands in front of the op that has no kernel.
[[noreturn]] void refuse_scheme(const EngineConfig& config, const Error& error) {
  if (error.category() != ErrorCategory::kUnsupported || config.quantization == "none") throw;
  throw Error(ErrorCategory::kUnsupported,
              fmt::format("a checkpoint quantized as {} on --device {}: {}", config.quantization,
                          config.device, error.what()));
}

// The largest steps of a plan.
SymbolValues planned_sizes(const Plan& bucket, const EngineConfig& config) {
  return bucket.maxima({.tokens = config.max_num_tokens,
                        .sequences = config.max_batch_size,
                        .logit_rows = max_logit_rows(config.max_batch_size, config.max_num_tokens),
                        .cache_blocks = 1,
                        .table_width = ceil_div(config.max_seq_len, config.tokens_per_block)});
}

Plan make_plan(const Program& program, Plan bucket, const EngineConfig& config,
               const KernelRegistry& registry, const BuildTarget& target) {
  bucket.program = program;
  const SymbolValues maxima = planned_sizes(bucket, config);
  for (const Call& call : program.calls) {
    const Problem problem = problem_of(program, call, maxima);
    const KernelTime choice = choose_kernel(problem, registry, target);
    bucket.kernels.emplace_back(choice.kernel->name);
    bucket.tactics.push_back(has_planned_rows(program, call, bucket) ? choice.tactic : "");
    bucket.kernel_us.push_back(choice.us);
    bucket.floor_us.push_back(target.timer ? floor_us(problem, target.timer->device()) : 0);
  }
  return bucket;
}

// The time of the calls that were measured, or of those between ranks alone: infinite where one of
// them could not be.
double measured_us(const Plan& plan, const BuildTarget& target, bool between_ranks) {
  double sum = 0;
  for (size_t i = 0; i < plan.kernel_us.size(); ++i) {
    if (between_ranks && !is_communication(plan.program.calls[i].op)) continue;
    if (plan.kernel_us[i] == 0 && target.measures({.op = plan.program.calls[i].op}))
      return std::numeric_limits<double>::infinity();
    sum += plan.kernel_us[i];
  }
  return sum;
}

// A bucket's plan with the competing fusions that make it faster; without measurements with none.
Plan best_plan(const Program& program, std::span<const Fusion> competing, const Plan& bucket,
               const EngineConfig& config, const KernelRegistry& registry,
               const BuildTarget& target) {
  Plan best = make_plan(program, bucket, config, registry, target);
  for (const Fusion& fusion : competing) {
    const bool between_ranks = fusion.competition == Competition::kBetweenRanks;
    if (between_ranks ? target.group == nullptr : target.timer == nullptr) continue;
    Draft fused{.program = best.program};
    fusion.apply(fused);
    if (to_string(fused.program) == to_string(best.program)) continue;  // nothing to fuse
    remove_dead_tensors(fused.program);
    validate(fused.program);
    try {
      Plan plan = make_plan(fused.program, bucket, config, registry, target);
      if (fusion.competition == Competition::kKernels ||
          measured_us(plan, target, between_ranks) < measured_us(best, target, between_ranks))
        best = std::move(plan);
    } catch (const Error& error) {
      if (error.category() != ErrorCategory::kUnsupported) throw;  // no kernel for it: unfused
    }
  }
  return best;
}

// Where memory idles around attention: few sequences, and no ranks between the kernels.
void suit_neighbours(Plan& plan, const EngineConfig& config, const KernelRegistry& registry,
                     const BuildTarget& target, Device* device) {
  constexpr int64_t kMostTokens = 64;
  if (target.timer == nullptr || target.deterministic || config.tp_size > 1) return;
  const SymbolValues sizes = planned_sizes(plan, config);
  const DeviceKernels* const beside = registry.beside(*device);
  if (plan.kind != PlanKind::kDecode || sizes.tokens > kMostTokens || beside == nullptr) return;
  std::vector<const Kernel*> kernels;
  for (const std::string& name : plan.kernels) kernels.push_back(registry.find(name));
  choose_neighbour_tactics(plan, kernels, sizes, beside->neighbours, LayerTimer(*device),
                           target.timer->records());
}

// With logits where the steps of the kind have them: of all rows, or of few.
Program program_of(const Draft& all, PlanKind kind) {
  Draft draft{.program = all.program};
  if (kind == PlanKind::kMixed) {
    narrow_to_logit_rows(draft.program);
  } else {
    give_all_rows_logits(draft.program);
    fuse_add_rms_norm(draft);  // the last one: nothing stands between add and norm any more
  }
  remove_dead_tensors(draft.program);
  validate(draft.program);
  return std::move(draft.program);
}

// Below it a mixed step's time hardly falls with its tokens.
constexpr int64_t kSmallestMixed = 512;

// Upper ends of the ranges of tokens that are planned each for itself. The CPU has one: its kernels
// do not change with the number of tokens.
std::vector<Plan> token_buckets(const EngineConfig& config, const BuildConfig& options,
                                DeviceType device) {
  std::vector<Plan> buckets;
  if (device == DeviceType::kCuda) {
    const int64_t most = std::min(config.max_batch_size, config.max_num_tokens);
    if (options.plugin_config.multiple_profiles) {
      // Norms that linears repeat are short for the fewest tokens alone.
      const int64_t fewest = options.plugin_config.norm_linear_fusion ? 2 : 8;
      for (int64_t tokens = fewest; tokens < most; tokens *= 2)
        buckets.push_back({.kind = PlanKind::kDecode, .max_tokens = tokens});
    }
    buckets.push_back({.kind = PlanKind::kDecode, .max_tokens = most});
    if (options.plugin_config.multiple_profiles) {
      for (int64_t tokens = kSmallestMixed; tokens < config.max_num_tokens; tokens *= 2)
        buckets.push_back({.kind = PlanKind::kMixed, .max_tokens = tokens});
    }
  }
  buckets.push_back({.kind = PlanKind::kMixed, .max_tokens = config.max_num_tokens});
  return buckets;
}

std::vector<Blueprint::Weight> list_weights(const Draft& draft) {
  std::vector<Blueprint::Weight> weights;
  std::set<std::string> seen;
  for (size_t i = 0; i < draft.program.tensors.size(); ++i) {
    const ProgramTensor& tensor = draft.program.tensors[i];
    if (tensor.kind != TensorKind::kWeight || !seen.insert(tensor.name).second) continue;
    Blueprint::Weight weight{.name = tensor.name,
                             .info = {tensor.dtype, evaluate(tensor.shape, {})}};
    const auto literal = draft.program.literals.find(static_cast<TensorId>(i));
    if (literal != draft.program.literals.end()) {
      weight.literal = literal->second;
    } else {
      weight.parts = draft.parts_of(tensor.name);
    }
    weights.push_back(std::move(weight));
  }
  return weights;
}

// A device that cannot hold the weights is no device to measure on, and measuring large linears
// takes minutes.
void require_memory(int64_t weight_bytes, const Device& device) {
  const int64_t free = device.free_memory();
  if (weight_bytes <= free) return;
  throw Error(ErrorCategory::kOutOfMemory,
              fmt::format("the weights need {} bytes, {} has {} free", weight_bytes,
                          device.properties().name, free));
}

}  // namespace

int64_t Blueprint::weight_bytes() const {
  int64_t bytes = 0;
  for (const Weight& weight : weights)
    bytes += weight.info.shape.elements() * size_of(weight.info.dtype);
  return bytes;
}

Draft draft_program(const ModelDir& model, const BuildConfig& options) {
  Draft draft;
  draft.program =
      model.architecture->emit(model.config, {.dtype = activation_dtype(options, model.config),
                                              .tokens_per_block = options.tokens_per_block});
  for (const ProgramTensor& tensor : draft.program.tensors) {
    if (tensor.kind == TensorKind::kWeight && tensor.shape.size() == 3)
      draft.parts[tensor.name] = checkpoint_names(tensor.name, tensor.shape[0].value);
  }
  quantize_linears(draft, *model.weights, model.quantization);
  if (quantizes_kv(model, options)) quantize_kv_cache(draft, *model.weights);
  validate(draft.program);
  return draft;
}

Blueprint make_blueprint(const ModelDir& model, const BuildConfig& options,
                         const KernelRegistry& registry, Device* device,
                         std::span<const Fusion> fusions, int64_t rank, const Timers& timers) {
  Blueprint blueprint{.rank = rank};
  const CheckpointFacts facts{
      .quantized = has_fp8_linear(model),
      .kv_scales = has_kv_scales(model),
      .devices = timers.devices > 0 ? timers.devices : usable_devices(options, device),
      .compute_capability = device == nullptr ? 0 : device->properties().compute_capability,
      .dynamic_inputs = has_dynamic_inputs(model.quantization)};
  blueprint.notices = check_build_options(options, model.config, facts);
  blueprint.config = engine_config(model, options);
  Draft draft = draft_program(model, options);
  const RankPlace place{.tp_size = options.tp_size, .pp_size = options.pp_size, .rank = rank};
  if (place.ranks() > 1) {
    blueprint.slices =
        shard(draft, model_tensors(*model.architecture, model.config), model.config, place);
  }
  std::vector<Fusion> competing;
  for (const Fusion& fusion : fusions) {
    if (!fusion.enabled(options)) continue;
    if (fusion.competition != Competition::kNone) {
      competing.push_back(fusion);
    } else {
      fusion.apply(draft);
    }
  }
  remove_dead_tensors(draft.program);
  validate(draft.program);
  blueprint.weights = list_weights(draft);
  draft.program.literals.clear();  // from here on they are weights like any other
  std::optional<KernelTimer> own_timer;
  KernelTimer* timer = timers.kernels;
  if (timer == nullptr && device != nullptr && device->has_graphs())
    timer = &own_timer.emplace(*device);
  if (timer != nullptr) require_memory(blueprint.weight_bytes(), *device);
  const BuildTarget target{
      .kernels = device == nullptr ? KernelTarget(resolved_device(options)) : KernelTarget(*device),
      .deterministic = options.deterministic,
      .plugins = options.plugin_config,
      .timer = timer,
      .group = timers.group,
      .competing = std::ranges::any_of(competing, [](const Fusion& fusion) {
        return fusion.competition == Competition::kCalls;
      })};
  try {
    for (const Plan& bucket : token_buckets(blueprint.config, options, target.kernels.device)) {
      const Program program = program_of(draft, bucket.kind);
      blueprint.plans.push_back(
          best_plan(program, competing, bucket, blueprint.config, registry, target));
      suit_neighbours(blueprint.plans.back(), blueprint.config, registry, target, device);
    }
  } catch (const Error& error) {
    refuse_scheme(blueprint.config, error);
  }
  return blueprint;
}

std::vector<Blueprint> make_blueprints(const ModelDir& model, const BuildConfig& options,
                                       const KernelRegistry& registry, Device* device,
                                       const BuildMachine& machine) {
  std::optional<KernelTimer> timer;
  if (device != nullptr && device->has_graphs()) timer.emplace(*device, machine.records);
  std::vector<Blueprint> ranks;
  for (int64_t rank = 0; rank < options.tp_size * options.pp_size; ++rank) {
    ranks.push_back(make_blueprint(model, options, registry, device, fusion_table(), rank,
                                   {.kernels = timer ? &*timer : nullptr,
                                    .group = machine.group,
                                    .devices = machine.devices}));
    if (rank > 0) ranks.back().notices.clear();
  }
  if (machine.records != nullptr) machine.records->save();
  return ranks;
}

Tensor build_weight(const Blueprint::Weight& weight, const WeightSource& source, Device& device,
                    const DeviceKernels* kernels) {
  const int64_t bytes = weight.info.shape.elements() * size_of(weight.info.dtype);
  Tensor tensor(device.allocate(bytes), 0, weight.info.dtype, weight.info.shape);
  if (!weight.literal.empty()) {
    device.upload(tensor.data(), reinterpret_cast<const std::byte*>(weight.literal.data()), bytes);
    return tensor;
  }
  int64_t done = 0;
  for (const std::string& name : weight.parts) {
    const int64_t left = (bytes - done) / size_of(weight.info.dtype);
    const TensorView rest(tensor.data() + done, weight.info.dtype, {left});
    done += place_tensor(source, name, rest, device, kernels, [&](const TensorView& part) {
      // A NaN code would spread over every token without any other trace.
      if (part.dtype == DType::kE4M3) require_finite(source, name, part);
    });
    if (done > bytes)
      throw bad_file(source.file_of(name), name,
                     "does not fit the Program's weight " + weight.name);
  }
  if (done != bytes)
    throw bad_file("", weight.name, "its parts have fewer bytes than the Program expects");
  return tensor;
}

Tensor build_weight(const Blueprint::Weight& weight, const WeightSource& source) {
  ThreadPool one_thread(1);
  HostDevice host(one_thread);
  return build_weight(weight, source, host, nullptr);
}

EngineImage build_image(const ModelDir& model, Blueprint blueprint, const KernelRegistry& registry,
                        Device* device, const std::function<void(int64_t, int64_t)>& progress) {
  EngineImage image{.config = std::move(blueprint.config),
                    .rank = blueprint.rank,
                    .plans = std::move(blueprint.plans)};
  const SlicedWeights source(model.weights, std::move(blueprint.slices));
  ThreadPool one_thread(1);
  HostDevice host(one_thread);
  Device& target = device == nullptr ? host : *device;
  for (const Blueprint::Weight& weight : blueprint.weights) {
    image.weights.push_back(
        {weight.name, build_weight(weight, source, target, registry.beside(target))});
    if (progress) progress(std::ssize(image.weights), std::ssize(blueprint.weights));
  }
  model.verify_unchanged();
  return image;
}

EngineImage build_image(const ModelDir& model, const BuildConfig& options,
                        const KernelRegistry& registry, Device* device,
                        const std::function<void(int64_t, int64_t)>& progress) {
  return build_image(model, make_blueprint(model, options, registry, device), registry, device,
                     progress);
}

}  // namespace octavo
