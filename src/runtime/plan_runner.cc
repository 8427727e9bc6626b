// Choice and execution of plans.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/plan_runner.h"

#include <algorithm>

#include "comm/comm.h"
#include "core/checked.h"

namespace octavo {
namespace {

// The kernels of a plan by name. An engine built on another machine may name what this one cannot
// run: the first kernel that supports the call then takes over.
std::vector<const Kernel*> kernels_of(const Plan& plan, const KernelRegistry& registry,
                                      const KernelTarget& target, const SymbolValues& maxima) {
  std::vector<const Kernel*> kernels;
  for (size_t i = 0; i < plan.kernels.size(); ++i) {
    const Kernel* kernel = registry.find(plan.kernels[i]);
    if (kernel == nullptr) {
      throw Error(ErrorCategory::kUnsupported,
                  fmt::format("the engine names the kernel \"{}\", which this program does not "
                              "have: build it again",
                              printable(plan.kernels[i])));
    }
    const Problem problem = problem_of(plan.program, plan.program.calls[i], maxima);
    const bool fits = kernel->op == problem.op && target.runs(*kernel).supported &&
                      kernel->supports(problem).supported;
    kernels.push_back(fits ? kernel : registry.candidates(problem, target).front());
  }
  return kernels;
}

// Stages before the last one have none.
TensorId logits_of(const Program& program, const EngineImage& image) {
  const EngineConfig& config = image.config;
  if (image.rank / config.tp_size != config.pp_size - 1) return kNoTensor;
  const int64_t vocab_size = config.vocab_size;
  const TensorId logits = program.find(kLogits);
  if (logits == kNoTensor || program.tensor(logits).shape.back() != Dim::constant(vocab_size)) {
    throw bad_file("", "program", fmt::format("expected logits of {} columns", vocab_size));
  }
  return logits;
}

}  // namespace

int64_t PlanRunner::memory_bytes(const EngineImage& image, const KernelRegistry& registry,
                                 const KernelTarget& target, const SymbolValues& maxima) {
  ProgramMemory needs;
  for (const Plan& plan : image.plans) {
    const SymbolValues sizes = plan.maxima(maxima);
    const auto kernels = kernels_of(plan, registry, target, sizes);
    needs = ProgramMemory::largest(needs, memory_needs(plan.program, kernels, sizes));
  }
  return needs.bytes();
}

PlanRunner::PlanRunner(std::shared_ptr<const EngineImage> image, const KernelRegistry& registry,
                       Device& device, const SymbolValues& maxima, Communicator* comm)
    : image_(std::move(image)), device_(device), maxima_(maxima) {
  ProgramMemory memory;
  std::vector<std::vector<const Kernel*>> kernels;
  for (const Plan& plan : image_->plans) {
    const SymbolValues sizes = plan.maxima(maxima);
    logits_.push_back(logits_of(plan.program, *image_));
    kernels.push_back(kernels_of(plan, registry, device, sizes));
    memory = ProgramMemory::largest(memory, memory_needs(plan.program, kernels.back(), sizes));
  }
  memory.allocate(device);
  for (size_t i = 0; i < image_->plans.size(); ++i) {
    const Plan& plan = image_->plans[i];
    interpreters_.push_back(std::make_unique<Interpreter>(plan.program, std::move(kernels[i]),
                                                          plan.maxima(maxima), device, memory));
    interpreters_.back()->set_tactics(plan.tactics);
    interpreters_.back()->set_comm(comm, comm == nullptr || comm->programmatic());
    bind_weights(*interpreters_.back());
  }
}

void PlanRunner::bind_weights(Interpreter& interpreter) const {
  std::map<std::string_view, const Tensor*> weights;
  for (const EngineWeight& weight : image_->weights) weights[weight.name] = &weight.tensor;
  const Program& program = interpreter.program();
  for (size_t i = 0; i < program.tensors.size(); ++i) {
    const ProgramTensor& tensor = program.tensors[i];
    if (tensor.kind != TensorKind::kWeight) continue;
    const auto it = weights.find(tensor.name);
    if (it == weights.end() || it->second->dtype() != tensor.dtype ||
        it->second->shape() != evaluate(tensor.shape, maxima_)) {
      throw bad_file("", tensor.name,
                     "the engine holds no such weight of the Program's shape and type");
    }
    interpreter.bind(static_cast<TensorId>(i), it->second->view());
  }
}

void PlanRunner::start(const StepBuffers& buffers) {
  bind_caches();
  for (const auto& interpreter : interpreters_) buffers.bind_to(*interpreter);
}

// Left as the device gives it: attention reads written slots only. Slots are computed from the
// config, so the caches must have its blocks.
void PlanRunner::bind_caches() {
  const EngineConfig& config = image_->config;
  const Shape expected = {maxima_.cache_blocks, config.kv_heads_per_rank(), config.tokens_per_block,
                          config.head_dim};
  for (const auto& interpreter : interpreters_) {
    const Program& program = interpreter->program();
    for (size_t i = 0; i < program.tensors.size(); ++i) {
      const ProgramTensor& tensor = program.tensors[i];
      if (tensor.kind != TensorKind::kCache) continue;
      const Shape shape = evaluate(tensor.shape, maxima_);
      if (shape != expected) {
        throw bad_file("", tensor.name,
                       fmt::format("expected {} as the engine's config says, got {}",
                                   to_string(expected), to_string(shape)));
      }
      auto& memory = caches_[tensor.name];
      if (memory == nullptr) memory = device_.allocate(shape.elements() * size_of(tensor.dtype));
      interpreter->bind(static_cast<TensorId>(i), TensorView(memory.get(), tensor.dtype, shape));
    }
  }
}

// Steps of 8 up to 64, then about an eighth: few graphs, little work for nothing.
int64_t PlanRunner::padded(int64_t sequences) const {
  if (!device_.has_graphs()) return sequences;
  int64_t bucket = sequences;
  if (sequences > 8) {
    int64_t step = 8;
    while (sequences > 8 * step) step *= 2;
    bucket = round_up(sequences, step);
  }
  return std::min({bucket, maxima_.sequences, maxima_.tokens});
}

size_t PlanRunner::plan_for(const SymbolValues& sizes, bool is_decode) const {
  size_t best = image_->plans.size();
  for (size_t i = 0; i < image_->plans.size(); ++i) {
    const Plan& plan = image_->plans[i];
    if (plan.maxima(maxima_).tokens < sizes.tokens) continue;
    if (plan.kind == PlanKind::kDecode && !is_decode) continue;
    if (best < i && image_->plans[best].max_tokens <= plan.max_tokens) continue;
    best = i;
  }
  OCTAVO_CHECK(best < image_->plans.size());
  return best;
}

TensorView PlanRunner::run(const SymbolValues& sizes, bool is_decode,
                           const std::function<void()>& before) {
  const size_t plan = plan_for(sizes, is_decode);
  Interpreter& interpreter = *interpreters_[plan];
  const auto work = [&interpreter, before, sizes] {
    before();
    interpreter.run(sizes);
  };
  if (!is_decode || !device_.has_graphs()) {
    work();
  } else {
    Graph& graph = graphs_[{plan, sizes.sequences}];
    if (graph.ran && graph.graph == nullptr) graph.graph = device_.capture(work);
    graph.ran = true;
    graph.graph == nullptr ? work() : graph.graph->launch();
  }
  return interpreter.view(logits_[plan], sizes);
}

}  // namespace octavo
