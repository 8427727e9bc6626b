// Request sets: reading JSON lines and ShareGPT files, and the JSON lines that Octavo writes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace octavo {

struct BenchRequest {
  int64_t task_id = 0;
  std::vector<int32_t> input_ids;  // empty until tokenized where the file gives text
  std::string prompt;              // empty where the file gives ids
  int64_t output_tokens = 0;
};

using TokenizeFunction = std::function<std::vector<int32_t>(std::string_view)>;

struct DatasetOptions {
  int64_t num_requests = 0;   // 0: all; more than the file holds starts again from its beginning
  int32_t vocab_size = 0;     // input_ids must be below it; 0: unchecked
  uint64_t seed = 0;          // ShareGPT: order of the conversations
  TokenizeFunction tokenize;  // needed where the file holds text
};

struct Dataset {
  std::vector<BenchRequest> requests;  // all with input_ids
  std::string format;                  // "jsonl" or "sharegpt"
  int64_t dropped = 0;                 // ShareGPT: conversations that its rules leave out
};

// Reads either format; the first character tells which. Error(kBadFile) names every malformed line.
Dataset read_dataset(const std::filesystem::path& path, const DatasetOptions& options);

// Error(kUsage) when a request cannot fit into an engine's sequence length, before any has run.
void check_request_lengths(std::span<const BenchRequest> requests, int64_t max_seq_len);

// One line of JSON without the newline; input_ids where there are any, else the prompt.
std::string to_json_line(const BenchRequest& request);
// Replaces the file as a whole or not at all.
void write_requests(const std::filesystem::path& path, std::span<const BenchRequest> requests);

}  // namespace octavo
