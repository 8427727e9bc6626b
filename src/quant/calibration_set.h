// Calibration sets: the token sequences that statistics are gathered on.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace octavo {

struct CalibrationSet {
  std::vector<std::vector<int32_t>> samples;  // none empty
  std::string source;                         // file name or "self-sampled", "random ids"
  std::string hash;                           // XXH3-64 over the token ids
  int64_t truncated = 0;                      // samples cut to the length limit
  int64_t skipped_lines = 0;
  int64_t empty = 0;
};

struct CalibrationSetOptions {
  int64_t size = 512;
  int64_t max_length = 512;             // tokens a sample
  int64_t tokenizer_max_length = 2048;  // tokens of a document that are looked at
  int64_t skip_bad_lines = 0;
};

// The first `size` documents of a JSON lines or text file, tokenized with special tokens and cut to
// max_length.
CalibrationSet read_calibration_set(const std::filesystem::path& file, const Tokenizer& tokenizer,
                                    const CalibrationSetOptions& options);

// `size` samples of `length` ids drawn uniformly, for weights that are random too.
CalibrationSet random_calibration_set(int64_t vocab_size, int64_t size, int64_t length,
                                      uint64_t seed);

// Order-dependent hash of samples, as the manifest records it.
std::string hash_of(const std::vector<std::vector<int32_t>>& samples);

}  // namespace octavo
