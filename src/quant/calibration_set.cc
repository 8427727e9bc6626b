// Reading of calibration sets.
// SPDX-License-Identifier: Apache-2.0
#include "quant/calibration_set.h"

#include <xxhash.h>

#include <algorithm>
#include <random>
#include <set>

#include "core/error.h"
#include "core/log.h"
#include "text/documents.h"

namespace octavo {
namespace {

void warn_about(const CalibrationSet& set, const CalibrationSetOptions& options) {
  if (std::ssize(set.samples) < options.size) {
    log_warning("{}: {} samples, fewer than the {} asked for", printable(set.source),
                set.samples.size(), options.size);
  }
  const std::set<std::vector<int32_t>> distinct(set.samples.begin(), set.samples.end());
  const bool all_tiny = std::all_of(set.samples.begin(), set.samples.end(),
                                    [](const auto& s) { return s.size() <= 2; });
  if ((distinct.size() == 1 && set.samples.size() > 1) || all_tiny) {
    log_warning("{}: low diversity: {} distinct samples", printable(set.source), distinct.size());
  }
}

}  // namespace

CalibrationSet read_calibration_set(const std::filesystem::path& file, const Tokenizer& tokenizer,
                                    const CalibrationSetOptions& options) {
  const Documents documents = read_documents(
      file, {.max_documents = options.size, .skip_bad_lines = options.skip_bad_lines});
  CalibrationSet set{.source = printable(file.filename().string())};
  set.skipped_lines = std::ssize(documents.bad_lines);
  set.empty = documents.empty_documents;
  const int64_t limit = std::min(options.max_length, options.tokenizer_max_length);
  for (const std::string& text : documents.texts) {
    std::vector<int32_t> ids = tokenizer.encode(text, /*add_special_tokens=*/true);
    if (ids.empty()) {
      ++set.empty;
      continue;
    }
    if (std::ssize(ids) > limit) {
      ids.resize(static_cast<size_t>(limit));
      ++set.truncated;
    }
    set.samples.push_back(std::move(ids));
  }
  if (set.samples.empty()) throw bad_file(file.string(), "", "no samples");
  set.hash = hash_of(set.samples);
  warn_about(set, options);
  return set;
}

CalibrationSet random_calibration_set(int64_t vocab_size, int64_t size, int64_t length,
                                      uint64_t seed) {
  std::mt19937_64 random(seed);
  CalibrationSet set{.source = "random ids"};
  for (int64_t i = 0; i < size; ++i) {
    std::vector<int32_t>& sample = set.samples.emplace_back(static_cast<size_t>(length));
    for (int32_t& id : sample)
      id = static_cast<int32_t>(random() % static_cast<uint64_t>(vocab_size));
  }
  set.hash = hash_of(set.samples);
  return set;
}

std::string hash_of(const std::vector<std::vector<int32_t>>& samples) {
  XXH3_state_t* state = XXH3_createState();
  XXH3_64bits_reset(state);
  for (const std::vector<int32_t>& sample : samples) {
    const uint64_t length = sample.size();
    XXH3_64bits_update(state, &length, sizeof(length));
    XXH3_64bits_update(state, sample.data(), sample.size() * sizeof(int32_t));
  }
  const uint64_t hash = XXH3_64bits_digest(state);
  XXH3_freeState(state);
  return fmt::format("{:016x}", hash);
}

}  // namespace octavo
