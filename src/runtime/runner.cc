// Execution of steps.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/runner.h"

#include <unistd.h>

#include <algorithm>
#include <map>

#include "core/checked.h"

namespace octavo {
namespace {

constexpr int64_t kMaxLogitRows = 1024;  // of one run of lm_head

// Memory that this machine could still give, in bytes.
int64_t available_memory() {
  const int64_t pages = sysconf(_SC_AVPHYS_PAGES);
  return pages < 0 ? 0 : pages * sysconf(_SC_PAGESIZE);
}

int64_t choose_num_blocks(const EngineConfig& config, int64_t sequences,
                          const RunnerOptions& options) {
  const int64_t blocks_per_sequence = ceil_div(config.max_seq_len, config.tokens_per_block);
  const int64_t block_bytes = config.kv_bytes_per_token() * config.tokens_per_block;
  const auto budget =
      static_cast<int64_t>(static_cast<double>(available_memory()) * options.free_memory_fraction);
  if (options.num_blocks > 0) {
    if (options.num_blocks > budget / block_bytes) {
      throw Error(ErrorCategory::kOutOfMemory,
                  fmt::format("the KV cache needs {} bytes, {} are available",
                              options.num_blocks * block_bytes, budget));
    }
    return options.num_blocks;
  }
  const int64_t blocks = std::min(blocks_per_sequence * sequences, budget / block_bytes);
  if (blocks < 1) {
    throw Error(ErrorCategory::kOutOfMemory,
                fmt::format("the KV cache needs {} bytes for one block, {} are available",
                            block_bytes, budget));
  }
  return blocks;
}

std::vector<const Kernel*> kernels_of(const Plan& plan, const KernelRegistry& registry,
                                      const SymbolValues& maxima) {
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
    const bool fits = kernel->op == problem.op && kernel->traits.device == DeviceType::kCpu;
    const Verdict verdict =
        fits ? kernel->supports(problem) : Verdict::no("it runs another op or device");
    // An engine built on another machine: the first kernel that this one supports takes over.
    kernels.push_back(verdict.supported ? kernel
                                        : registry.candidates(problem, DeviceType::kCpu).front());
  }
  return kernels;
}

}  // namespace

Runner::Runner(std::shared_ptr<const EngineImage> image, const KernelRegistry& registry,
               ThreadPool& pool, const RunnerOptions& options)
    : image_(std::move(image)),
      program_(image_->plans.front().program),
      pool_(pool),
      logits_(program_.find(kLogits)),
      sampler_(static_cast<int32_t>(options.max_batch_size > 0 ? options.max_batch_size
                                                               : config().max_batch_size),
               static_cast<int32_t>(config().vocab_size)) {
  maxima_.tokens = options.max_num_tokens > 0 ? options.max_num_tokens : config().max_num_tokens;
  maxima_.sequences = options.max_batch_size > 0 ? options.max_batch_size : config().max_batch_size;
  maxima_.logit_rows = std::max(maxima_.sequences, std::min(maxima_.tokens, kMaxLogitRows));
  maxima_.table_width = ceil_div(config().max_seq_len, config().tokens_per_block);
  num_blocks_ = choose_num_blocks(config(), maxima_.sequences, options);
  maxima_.cache_blocks = num_blocks_;
  if (logits_ == kNoTensor ||
      program_.tensor(logits_).shape.back() != Dim::constant(config().vocab_size)) {
    throw bad_file("", "program",
                   fmt::format("expected logits of {} columns", config().vocab_size));
  }
  const std::vector<const Kernel*> kernels = kernels_of(image_->plans.front(), registry, maxima_);
  interpreter_ = std::make_unique<Interpreter>(program_, kernels, maxima_, pool);
  bind_weights();
  allocate_cache();
  last_token_.resize(static_cast<size_t>(maxima_.sequences));
  scratch_.resize(1);
}

void Runner::bind_weights() {
  std::map<std::string_view, const Tensor*> weights;
  for (const EngineWeight& weight : image_->weights) weights[weight.name] = &weight.tensor;
  for (size_t i = 0; i < program_.tensors.size(); ++i) {
    const ProgramTensor& tensor = program_.tensors[i];
    if (tensor.kind != TensorKind::kWeight) continue;
    const auto it = weights.find(tensor.name);
    if (it == weights.end() || it->second->dtype() != tensor.dtype ||
        it->second->shape() != evaluate(tensor.shape, maxima_)) {
      throw bad_file("", tensor.name,
                     "the engine holds no such weight of the Program's shape and type");
    }
    interpreter_->bind(static_cast<TensorId>(i), it->second->view());
  }
}

// Left as the system gives it: pages that no sequence reaches cost nothing, and attention reads
// written slots only. Slots are computed from the config, so the caches must have its blocks.
void Runner::allocate_cache() {
  const Shape expected = {num_blocks_, config().num_kv_heads, config().tokens_per_block,
                          config().head_dim};
  for (size_t i = 0; i < program_.tensors.size(); ++i) {
    const ProgramTensor& tensor = program_.tensors[i];
    if (tensor.kind != TensorKind::kCache) continue;
    const Shape shape = evaluate(tensor.shape, maxima_);
    if (shape != expected) {
      throw bad_file("", tensor.name,
                     fmt::format("expected {} as the engine's config says, got {}",
                                 to_string(expected), to_string(shape)));
    }
    caches_.push_back(allocate_host(shape.elements() * size_of(tensor.dtype)));
    interpreter_->bind(static_cast<TensorId>(i),
                       TensorView(caches_.back().get(), tensor.dtype, shape));
  }
}

int64_t Runner::kv_pool_bytes() const {
  return num_blocks_ * config().tokens_per_block * config().kv_bytes_per_token();
}

TensorView Runner::run_batch() {
  const SymbolValues sizes = batch_.sizes(num_blocks_);
  interpreter_->bind(batch_);
  interpreter_->run(sizes);
  return interpreter_->view(logits_, sizes);
}

void Runner::launch(const Step& step) {
  batch_.table_width = 1;
  for (const StepSequence& sequence : step.sequences) {
    batch_.table_width = std::max(batch_.table_width, std::ssize(sequence.blocks));
  }
  batch_.clear();
  std::vector<const StepSequence*> sampled;
  for (const StepSequence& sequence : step.sequences) {
    sampler_.begin(sequence);
    const std::vector<int32_t> last = {last_token_[static_cast<size_t>(sequence.slot)]};
    const std::vector<int32_t>& ids = sequence.tokens.empty() ? last : sequence.tokens;
    const int32_t row =
        batch_.append(ids, sequence.first_position, sequence.blocks, config().tokens_per_block);
    if (!sequence.sample) continue;
    batch_.logit_rows.push_back(row + static_cast<int32_t>(ids.size()) - 1);
    sampled.push_back(&sequence);
  }
  const TensorView logits = run_batch();
  StepResult result{.id = step.id, .tokens = std::vector<SampledToken>(sampled.size())};
  for (size_t i = 0; i < sampled.size(); ++i) {
    const std::span<const float> row(logits.row<float>(static_cast<int64_t>(i)),
                                     static_cast<size_t>(config().vocab_size));
    result.tokens[i] = sampler_.sample(*sampled[i], row, scratch_.front());
    last_token_[static_cast<size_t>(sampled[i]->slot)] = result.tokens[i].token;
  }
  results_.push_back(std::move(result));
}

StepResult Runner::wait() {
  OCTAVO_CHECK(!results_.empty());
  StepResult result = std::move(results_.front());
  results_.pop_front();
  return result;
}

void Runner::visit_logits(std::span<const int32_t> ids, const LogitsVisitor& visit) {
  OCTAVO_CHECK(results_.empty());
  const int64_t length = std::ssize(ids);
  const int64_t blocks_needed = ceil_div(length, config().tokens_per_block);
  if (length > config().max_seq_len || blocks_needed > num_blocks_) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("a sequence of {} tokens does not fit: max_seq_len {}, KV pool {}",
                            length, config().max_seq_len, num_blocks_ * config().tokens_per_block));
  }
  std::vector<int32_t> blocks(static_cast<size_t>(blocks_needed));
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<int32_t>(i);
  const int64_t chunk = std::min({maxima_.tokens, maxima_.logit_rows, kMaxLogitRows});
  for (int64_t begin = 0; begin < length; begin += chunk) {
    const int64_t count = std::min(chunk, length - begin);
    batch_.table_width = blocks_needed;
    batch_.clear();
    const auto first = ids.begin() + begin;
    batch_.append({first, first + count}, static_cast<int32_t>(begin), blocks,
                  config().tokens_per_block);
    for (int32_t row = 0; row < count; ++row) batch_.logit_rows.push_back(row);
    const TensorView logits = run_batch();
    for (int64_t row = 0; row < count; ++row) {
      visit(begin + row, {logits.row<float>(row), static_cast<size_t>(config().vocab_size)});
    }
  }
}

}  // namespace octavo
