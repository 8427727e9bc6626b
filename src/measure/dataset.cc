// Reading and writing of request sets.
// SPDX-License-Identifier: Apache-2.0
#include "measure/dataset.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "io/atomic_file.h"
#include "measure/sharegpt.h"
#include "text/json_lines.h"

namespace octavo {
namespace {

// A line of 4 million ids; the line cap of 64 MiB allows hardly more.
constexpr uint64_t kMaxValuesPerLine = 8'000'000;

std::vector<int32_t> read_ids(const JsonField& field, int32_t vocab_size) {
  if (!field.is_array() || field.json().empty()) {
    throw field.mismatch("a list of token ids that is not empty");
  }
  const int64_t end = vocab_size > 0 ? vocab_size : int64_t{1} << 31;
  std::vector<int32_t> ids;
  ids.reserve(field.json().size());
  for (const nlohmann::json& value : field.json()) {
    const bool valid =
        value.is_number_unsigned() && value.get<uint64_t>() < static_cast<uint64_t>(end);
    if (!valid) {
      const std::string path = fmt::format("input_ids[{}]", ids.size());
      throw JsonField(value, field.file(), path).mismatch(fmt::format("a token id below {}", end));
    }
    ids.push_back(value.get<int32_t>());
  }
  return ids;
}

BenchRequest read_request(const JsonObject& line, int64_t index, const DatasetOptions& options) {
  BenchRequest request;
  request.task_id = line.optional_int("task_id").value_or(index);
  request.output_tokens = line.required_int("output_tokens", kPositiveInt32);
  if (const auto ids = line.optional("input_ids")) {
    request.input_ids = read_ids(*ids, options.vocab_size);
    return request;
  }
  request.prompt = line.required("prompt", "\"input_ids\" or \"prompt\"").as_string();
  if (!options.tokenize) {
    throw unsupported(line.file(), "prompt",
                      "text needs a tokenizer, and the model's folder holds none; use input_ids");
  }
  request.input_ids = options.tokenize(request.prompt);
  if (request.input_ids.empty()) {
    throw line.required("prompt").mismatch("text of at least one token");
  }
  return request;
}

bool is_enough(const Dataset& dataset, int64_t num_requests) {
  return num_requests > 0 && static_cast<int64_t>(dataset.requests.size()) >= num_requests;
}

Dataset read_json_lines_dataset(LineReader& lines, const DatasetOptions& options) {
  Dataset dataset{.format = "jsonl"};
  const JsonLinesOptions line_options{.max_values = kMaxValuesPerLine};
  read_json_lines(lines, line_options, [&](const JsonObject& line) {
    const auto index = static_cast<int64_t>(dataset.requests.size());
    dataset.requests.push_back(read_request(line, index, options));
    return !is_enough(dataset, options.num_requests);
  });
  return dataset;
}

}  // namespace

Dataset read_dataset(const std::filesystem::path& path, const DatasetOptions& options) {
  LineReader lines(path);
  Dataset dataset = lines.first_character() == '[' ? read_sharegpt(path, options)
                                                   : read_json_lines_dataset(lines, options);
  if (dataset.requests.empty()) {
    throw bad_file(lines.path(), "",
                   dataset.dropped > 0
                       ? fmt::format("no samples: none of {} conversations fits the rules "
                                     "(two turns, 4 tokens each or more, prompt at most 1024, both "
                                     "at most 2048)",
                                     dataset.dropped)
                       : std::string("no samples: expected at least one request"));
  }
  const size_t held = dataset.requests.size();
  for (size_t i = held; static_cast<int64_t>(i) < options.num_requests; ++i) {
    // A copy first: push_back may move what it would read.
    BenchRequest again = dataset.requests[i - held];
    again.task_id = static_cast<int64_t>(i);
    dataset.requests.push_back(std::move(again));
  }
  return dataset;
}

void check_request_lengths(std::span<const BenchRequest> requests, int64_t max_seq_len) {
  const auto length = [](const BenchRequest& request) {
    return static_cast<int64_t>(request.input_ids.size()) + request.output_tokens;
  };
  const BenchRequest* longest = nullptr;
  int64_t too_long = 0;
  for (const BenchRequest& request : requests) {
    if (longest == nullptr || length(request) > length(*longest)) longest = &request;
    too_long += length(request) > max_seq_len ? 1 : 0;
  }
  if (too_long == 0) return;
  throw Error(ErrorCategory::kUsage, "", "--dataset",
              fmt::format("{} of {} requests are longer than max_seq_len {}; the longest, request "
                          "{}, has {} input and {} output tokens",
                          too_long, requests.size(), max_seq_len, longest->task_id,
                          longest->input_ids.size(), longest->output_tokens));
}

std::string to_json_line(const BenchRequest& request) {
  if (!request.input_ids.empty()) {
    return fmt::format(R"({{"task_id":{},"input_ids":[{}],"output_tokens":{}}})", request.task_id,
                       fmt::join(request.input_ids, ","), request.output_tokens);
  }
  return fmt::format(R"({{"task_id":{},"prompt":{},"output_tokens":{}}})", request.task_id,
                     nlohmann::json(request.prompt).dump(), request.output_tokens);
}

void write_requests(const std::filesystem::path& path, std::span<const BenchRequest> requests) {
  AtomicFile output(path);
  for (const BenchRequest& request : requests)
    output.file().write_all(to_json_line(request) + "\n");
  output.commit();
}

}  // namespace octavo
