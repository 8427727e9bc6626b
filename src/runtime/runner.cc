// Execution of steps.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/runner.h"

#include <algorithm>
#include <limits>

#include "core/checked.h"
#include "runtime/device_step_sampler.h"
#include "runtime/host_step_sampler.h"
#include "runtime/step_wire.h"

namespace octavo {
namespace {

// Uploads that may wait; the scheduler runs at most 2 steps ahead, and one more for each further
// stage.
int steps_in_flight(const EngineConfig& config) { return 3 + static_cast<int>(config.pp_size); }

// Memory that caches of one or several ranks may take.
struct CacheRoom {
  int64_t budget = 0;
  int64_t block_bytes = 0;
};

// A block of every cache of the rank.
int64_t block_bytes_of(const EngineImage& image) {
  int64_t bytes = 0;
  for (const ProgramTensor& tensor : image.plans.front().program.tensors) {
    if (tensor.kind != TensorKind::kCache) continue;
    bytes += evaluate(tensor.shape, {.cache_blocks = 1}).elements() * size_of(tensor.dtype);
  }
  return bytes;
}

// Ranks of the host share its memory; others have a device each.
std::vector<CacheRoom> cache_rooms(const std::vector<RankImage>& ranks,
                                   const KernelRegistry& registry, const SymbolValues& maxima,
                                   double fraction) {
  std::vector<CacheRoom> rooms;
  int64_t reserve = 0;
  for (const RankImage& rank : ranks) {
    const bool shares = !rooms.empty() && rank.device->type() == DeviceType::kCpu;
    if (!shares) rooms.emplace_back();
    if (!shares) reserve = 0;
    reserve += PlanRunner::memory_bytes(*rank.image, registry, *rank.device, maxima);
    const int64_t free = std::max<int64_t>(0, rank.device->free_memory() - reserve);
    rooms.back().budget = static_cast<int64_t>(static_cast<double>(free) * fraction);
    rooms.back().block_bytes += block_bytes_of(*rank.image);
  }
  return rooms;
}

// Blocks of the pool, which every rank has.
int64_t choose_num_blocks(const EngineConfig& config, int64_t sequences,
                          const RunnerOptions& options, const CacheRoom& room) {
  const int64_t blocks_per_sequence = ceil_div(config.max_seq_len, config.tokens_per_block);
  const auto [budget, block_bytes] = room;
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

void check_ranks(const std::vector<RankImage>& ranks, const ProcessGroup* processes) {
  const EngineConfig& config = ranks.front().image->config;
  const int64_t given = std::ssize(ranks) * (processes == nullptr ? 1 : processes->size());
  if (given != config.ranks()) {
    throw Error(ErrorCategory::kInternal,
                fmt::format("the engine has {} ranks, got {}", config.ranks(), given));
  }
}

std::shared_ptr<StepSampler> make_step_sampler(Device& device, const DeviceKernels* kernels,
                                               const SamplerLimits& limits) {
  if (kernels != nullptr && limits.vocab_size <= kernels->max_sampled_vocab)
    return std::make_shared<DeviceStepSampler>(device, *kernels, limits);
  return std::make_shared<HostStepSampler>(device, limits.slots, limits.vocab_size);
}

}  // namespace

Runner::Runner(std::shared_ptr<const EngineImage> image, const KernelRegistry& registry,
               Device& device, const RunnerOptions& options)
    : Runner({{std::move(image), std::shared_ptr<Device>(std::shared_ptr<void>(), &device)}},
             registry, options) {}

Runner::Runner(std::vector<RankImage> ranks, const KernelRegistry& registry,
               const RunnerOptions& options)
    : image_(ranks.front().image), processes_(options.processes) {
  check_ranks(ranks, processes_.get());
  logits_device_ = processes_ != nullptr
                       ? ranks.front().device
                       : ranks[ranks.size() - static_cast<size_t>(config().tp_size)].device;
  maxima_.tokens = options.max_num_tokens > 0 ? options.max_num_tokens : config().max_num_tokens;
  maxima_.sequences = options.max_batch_size > 0 ? options.max_batch_size : config().max_batch_size;
  maxima_.logit_rows = max_logit_rows(maxima_.sequences, maxima_.tokens);
  maxima_.table_width = ceil_div(config().max_seq_len, config().tokens_per_block);
  maxima_.cache_blocks = 1;
  const auto rooms = cache_rooms(ranks, registry, maxima_, options.free_memory_fraction);
  maxima_.cache_blocks = std::numeric_limits<int64_t>::max();
  for (const CacheRoom& room : rooms) {
    maxima_.cache_blocks = std::min(maxima_.cache_blocks,
                                    choose_num_blocks(config(), maxima_.sequences, options, room));
  }
  if (processes_ != nullptr) maxima_ = agree_on_maxima(*processes_, *image_, maxima_);
  ranks_ = std::make_unique<RankGroup>(
      std::move(ranks), registry,
      RankGroupOptions{maxima_, steps_in_flight(config()), options.stall_limit});
  if (follows()) return;
  sampled_by_.assign(static_cast<size_t>(maxima_.sequences), -1);
  sampler_ = make_step_sampler(*logits_device_, registry.beside(*logits_device_),
                               {.slots = static_cast<int32_t>(maxima_.sequences),
                                .vocab_size = static_cast<int32_t>(config().vocab_size),
                                .steps_in_flight = steps_in_flight(config()),
                                .tells_host = processes_ != nullptr});
}

// The last calls between ranks are over when their devices are idle; only then may any rank go.
// Those of a rank that failed end because it told its processes so.
Runner::~Runner() {
  if (processes_ == nullptr) return;
  try {
    logits_device_->synchronize();
  } catch (const Error&) {  // nothing runs on a device that failed
  }
  if (!follows()) processes_->finish();
}

// Whatever fails here would leave the other processes waiting.
void Runner::guard(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::exception& error) {
    if (processes_ != nullptr) processes_->fail(error.what());
    throw;
  }
}

void Runner::follow() {
  OCTAVO_CHECK(follows());
  const StepHooks nothing{.start = [](Device&) {}, .inputs = [](const StepBuffers&, Device&) {}};
  guard([&] {
    while (const std::optional<std::string> word = processes_->next()) {
      const StepMessage step = decode_step(*word, maxima_);
      ranks_->launch(step.batch, step.sizes, step.is_decode, nothing);
      ranks_->finish([](const TensorView&) {});
    }
    logits_device_->synchronize();
    ranks_->check();
  });
  processes_->finish();
}

int64_t Runner::kv_pool_bytes() const {
  return num_blocks() * config().tokens_per_block * config().kv_bytes_per_token();
}

// Fills `batch_`; whether every sequence has one token, and logits of it.
bool Runner::assemble(const Step& step) {
  batch_.table_width = 1;
  for (const StepSequence& sequence : step.sequences) {
    batch_.table_width = std::max(batch_.table_width, std::ssize(sequence.blocks));
  }
  batch_.clear();
  bool is_decode = true;
  for (const StepSequence& sequence : step.sequences) {
    const bool is_known = !sequence.tokens.empty();
    const std::optional<int32_t> last =
        is_known ? std::nullopt : sampler_->last_token(sequence.slot);
    const std::vector<int32_t> sampled = {last.value_or(0)};
    const std::vector<int32_t>& ids = is_known ? sequence.tokens : sampled;
    const int32_t row =
        batch_.append(ids, sequence.first_position, sequence.blocks, config().tokens_per_block);
    if (!is_known && !last) batch_.token_slots.back() = sequence.slot;
    if (sequence.sample) batch_.logit_rows.push_back(row + static_cast<int32_t>(ids.size()) - 1);
    is_decode = is_decode && ids.size() == 1 && sequence.sample;
  }
  if (is_decode) batch_.pad(ranks_->padded(std::ssize(batch_.query_start)));
  return is_decode;
}

// The last step whose samples the step reads; -1: it reads none.
int64_t Runner::last_read(const Step& step) const {
  int64_t last = -1;
  for (const StepSequence& sequence : step.sequences) {
    if (sequence.tokens.empty())
      last = std::max(last, sampled_by_[static_cast<size_t>(sequence.slot)]);
  }
  return last;
}

void Runner::launch_batch(bool is_decode, int64_t reads) {
  SymbolValues sizes = batch_.sizes(num_blocks());
  sizes.table_width = maxima_.table_width;
  // A rank that stalled may call them when this runner is gone.
  const StepHooks hooks{
      .start = [sampler = sampler_, reads](Device& device) { sampler->follow(device, reads); },
      .inputs = [sampler = sampler_, tokens = sizes.tokens](
                    const StepBuffers& buffers,
                    Device& device) { sampler->resolve(buffers, tokens, device); }};
  if (processes_ != nullptr) processes_->publish(encode_step(batch_, sizes, is_decode));
  ranks_->launch(batch_, sizes, is_decode, hooks);
}

void Runner::sample(const Step& step) {
  ranks_->finish([&](const TensorView& logits) { sampler_->launch(step, logits); });
}

void Runner::sample_oldest() {
  sample(unsampled_.front());
  unsampled_.pop_front();
}

// Ranks of the host in stages compute on while the next step is put together: what that reads of
// those before it is sampled first. Devices are asked for samples at once, in the order of steps.
void Runner::launch(const Step& step) {
  guard([&] { launch_step(step); });
}

void Runner::launch_step(const Step& step) {
  const int64_t reads = last_read(step);
  while (!unsampled_.empty() && unsampled_.front().id <= reads) sample_oldest();
  launch_batch(assemble(step), reads);
  ++steps_in_flight_;
  for (const StepSequence& sequence : step.sequences) {
    if (sequence.sample) sampled_by_[static_cast<size_t>(sequence.slot)] = step.id;
  }
  if (ranks_->runs_behind()) {
    unsampled_.push_back(step);
  } else {
    sample(step);
  }
}

StepResult Runner::wait() {
  StepResult result;
  guard([&] { result = wait_for_step(); });
  return result;
}

StepResult Runner::wait_for_step() {
  if (!unsampled_.empty() && steps_in_flight_ == std::ssize(unsampled_)) sample_oldest();
  --steps_in_flight_;
  StepResult result = sampler_->wait();
  ranks_->check();
  return result;
}

void Runner::visit_logits(std::span<const int32_t> ids, const LogitsVisitor& visit) {
  OCTAVO_CHECK(steps_in_flight_ == 0);
  const int64_t length = std::ssize(ids);
  const int64_t blocks_needed = ceil_div(length, config().tokens_per_block);
  if (length > config().max_seq_len || blocks_needed > num_blocks()) {
    throw Error(
        ErrorCategory::kUsage,
        fmt::format("a sequence of {} tokens does not fit: max_seq_len {}, KV pool {}", length,
                    config().max_seq_len, num_blocks() * config().tokens_per_block));
  }
  std::vector<int32_t> blocks(static_cast<size_t>(blocks_needed));
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<int32_t>(i);
  const int64_t chunk = std::min(maxima_.tokens, maxima_.logit_rows);
  HostRows host(*logits_device_);
  for (int64_t begin = 0; begin < length; begin += chunk) {
    const int64_t count = std::min(chunk, length - begin);
    batch_.table_width = blocks_needed;
    batch_.clear();
    const auto first = ids.begin() + begin;
    batch_.append({first, first + count}, static_cast<int32_t>(begin), blocks,
                  config().tokens_per_block);
    for (int32_t row = 0; row < count; ++row) batch_.logit_rows.push_back(row);
    launch_batch(/*is_decode=*/false, /*reads=*/-1);
    ranks_->finish([&](const TensorView& logits) {
      const float* rows = host.bring(logits);
      ranks_->check();
      for (int64_t row = 0; row < count; ++row) {
        visit(begin + row,
              {rows + row * logits.row_stride, static_cast<size_t>(config().vocab_size)});
      }
    });
  }
}

}  // namespace octavo
