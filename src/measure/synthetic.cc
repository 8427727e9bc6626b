// Drawing of synthetic requests.
// SPDX-License-Identifier: Apache-2.0
#include "measure/synthetic.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "core/error.h"
#include "measure/random.h"

namespace octavo {
namespace {

// Above any context window, and small enough that sums of lengths cannot overflow.
constexpr int64_t kMaxLength = int64_t{1} << 24;
constexpr int64_t kMaxRequests = 10'000'000;
// Ids held in memory at once: 8 GiB.
constexpr double kMaxTotalTokens = 2147483648.0;

[[noreturn]] void fail(std::string_view option, std::string_view reason) {
  throw Error(ErrorCategory::kUsage, "", option, reason);
}

// A rough upper end, having checked that the distribution can be drawn from.
double checked_bound(const LengthDistribution& lengths, std::string_view side) {
  if (const auto* normal = std::get_if<NormalLengths>(&lengths)) {
    // Written so that NaN fails.
    if (!(normal->mean >= 1 && normal->mean <= kMaxLength)) {
      fail(fmt::format("--{}-mean", side),
           fmt::format("expected 1 to {}, got {}", kMaxLength, normal->mean));
    }
    if (!(normal->stdev >= 0 && normal->stdev <= kMaxLength)) {
      fail(fmt::format("--{}-stdev", side),
           fmt::format("expected 0 to {}, got {}", kMaxLength, normal->stdev));
    }
    return normal->mean + normal->stdev;
  }
  const auto& uniform = std::get<UniformLengths>(lengths);
  if (uniform.min < 1 || uniform.min > kMaxLength) {
    fail(fmt::format("--{}-min", side),
         fmt::format("expected 1 to {}, got {}", kMaxLength, uniform.min));
  }
  if (uniform.max < uniform.min || uniform.max > kMaxLength) {
    fail(fmt::format("--{}-max", side), fmt::format("expected {} (the minimum) to {}, got {}",
                                                    uniform.min, kMaxLength, uniform.max));
  }
  return static_cast<double>(uniform.max);
}

int64_t draw_length(const LengthDistribution& lengths, Random& random) {
  if (const auto* uniform = std::get_if<UniformLengths>(&lengths)) {
    return uniform->min + static_cast<int64_t>(
                              random.below(static_cast<uint64_t>(uniform->max - uniform->min) + 1));
  }
  const auto& normal = std::get<NormalLengths>(lengths);
  const double length = std::nearbyint(random.normal(normal.mean, normal.stdev));
  return static_cast<int64_t>(std::clamp(length, 1.0, static_cast<double>(kMaxLength)));
}

// Ids of the vocabulary less the excluded ones, each equally likely.
class IdSource {
 public:
  IdSource(int32_t vocab_size, std::vector<int32_t> excluded) : excluded_(std::move(excluded)) {
    std::sort(excluded_.begin(), excluded_.end());
    excluded_.erase(std::unique(excluded_.begin(), excluded_.end()), excluded_.end());
    std::erase_if(excluded_, [&](int32_t id) { return id < 0 || id >= vocab_size; });
    const auto excluded_count = static_cast<int64_t>(excluded_.size());
    if (vocab_size <= excluded_count) {
      fail("--tokenizer", fmt::format("expected a vocabulary with ids to draw from, got {} ids of "
                                      "which {} are special",
                                      vocab_size, excluded_count));
    }
    allowed_ = static_cast<uint64_t>(vocab_size - excluded_count);
  }

  int32_t draw(Random& random) const {
    auto id = static_cast<int32_t>(random.below(allowed_));
    for (const int32_t excluded : excluded_) {
      if (excluded > id) break;
      ++id;
    }
    return id;
  }

 private:
  std::vector<int32_t> excluded_;  // sorted, unique
  uint64_t allowed_ = 0;
};

BenchRequest draw_request(int64_t task_id, int64_t input, int64_t output, const IdSource& ids,
                          Random& random) {
  BenchRequest request{.task_id = task_id, .output_tokens = output};
  request.input_ids.resize(static_cast<size_t>(input));
  for (int32_t& id : request.input_ids) id = ids.draw(random);
  return request;
}

}  // namespace

std::vector<BenchRequest> synthetic_requests(const SyntheticOptions& options) {
  if (options.num_requests < 1 || options.num_requests > kMaxRequests) {
    fail("--num-requests",
         fmt::format("expected 1 to {}, got {}", kMaxRequests, options.num_requests));
  }
  const double input_bound = checked_bound(options.input, "input");
  checked_bound(options.output, "output");
  if (input_bound * static_cast<double>(options.num_requests) > kMaxTotalTokens) {
    fail("--num-requests", fmt::format("{} requests of up to about {:.0f} tokens are too many; "
                                       "expected at most {:.0f} tokens in all",
                                       options.num_requests, input_bound, kMaxTotalTokens));
  }
  const IdSource ids(options.vocab_size, options.excluded_ids);
  Random random(options.seed);
  std::vector<BenchRequest> requests;
  requests.reserve(static_cast<size_t>(options.num_requests));
  for (int64_t i = 0; i < options.num_requests; ++i) {
    const int64_t input = draw_length(options.input, random);
    const int64_t output = draw_length(options.output, random);
    requests.push_back(draw_request(i, input, output, ids, random));
  }
  return requests;
}

std::vector<BenchRequest> fresh_requests(std::span<const BenchRequest> like, int64_t count,
                                         int32_t vocab_size, uint64_t seed) {
  std::vector<BenchRequest> requests;
  if (like.empty() || count <= 0) return requests;
  const IdSource ids(vocab_size, {});
  // Another stream than a dataset made with the same seed.
  Random random(seed ^ 0x9e3779b97f4a7c15u);
  for (int64_t i = 0; i < count; ++i) {
    const BenchRequest& model = like[static_cast<size_t>(i) % like.size()];
    requests.push_back(draw_request(i, static_cast<int64_t>(model.input_ids.size()),
                                    model.output_tokens, ids, random));
  }
  return requests;
}

}  // namespace octavo
