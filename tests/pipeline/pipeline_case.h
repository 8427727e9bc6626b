// What the pipeline tests share: the embedded model, its quantized forms, prompts and greedy runs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "octavo/build.h"
#include "octavo/llm.h"
#include "octavo/quantize.h"

namespace octavo {

using TokenIds = std::vector<int32_t>;

inline const std::filesystem::path kModelDir = OCTAVO_SOURCE_DIR "/models/pocket-llama";

inline nlohmann::json reference() {
  return nlohmann::json::parse(std::ifstream(kModelDir / "reference.json"));
}

// Prompts with the ids and the text of their greedy continuation, prompt included.
inline nlohmann::json greedy_reference() { return reference()["greedy_fp32"]; }

// A folder that goes with the test program.
inline const std::filesystem::path& scratch_dir() {
  struct Folder {
    std::filesystem::path path =
        std::filesystem::temp_directory_path() / ("octavo_pipeline_" + std::to_string(::getpid()));
    Folder() { std::filesystem::create_directories(path); }
    ~Folder() {
      std::error_code error;
      std::filesystem::remove_all(path, error);
    }
  };
  static const Folder folder;
  return folder.path;
}

inline std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::map<std::string, std::string> contents_of(const std::filesystem::path& folder) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    contents[entry.path().filename().string()] = content_of(entry.path());
  }
  return contents;
}

// A few lines of every kind of text that the model knows; enough for calibration in a test.
inline std::filesystem::path calibration_file() {
  const std::filesystem::path path = scratch_dir() / "calib.jsonl";
  std::ofstream file(path);
  for (const nlohmann::json& entry : greedy_reference()) {
    file << nlohmann::json{{"text", entry["text"]}}.dump() << "\n";
  }
  return path;
}

inline QuantizeOptions quantize_options(const std::string& name, int threads = 0) {
  return {.model_dir = kModelDir,
          .output_dir = scratch_dir() / name,
          .kv_cache_dtype = "fp8",
          .calib_dataset = calibration_file().string(),
          .calib_size = 4,
          .calib_max_seq_length = 64,
          .threads = threads};
}

// The FP8 checkpoint with FP8 KV scales, made once.
inline const std::filesystem::path& quantized_dir() {
  static const std::filesystem::path path = [] {
    SilentProgress silent;
    const QuantizeOptions options = quantize_options("quantized");
    quantize(options, silent);
    return options.output_dir;
  }();
  return path;
}

// Limits small enough for a test.
inline BuildConfig small_build() {
  BuildConfig config;
  config.max_seq_len = 256;
  config.max_batch_size = 64;
  config.max_num_tokens = 512;
  return config;
}

inline ModelOptions model_options(const std::filesystem::path& folder, int threads = 0) {
  return {.model_dir = folder, .build_config = small_build(), .threads = threads};
}

// Prompts of different lengths, a pure function of their number.
inline std::vector<TokenIds> prompts(int count, int seed = 1) {
  std::vector<TokenIds> result;
  uint32_t state = 2654435761u * static_cast<uint32_t>(seed);
  for (int i = 0; i < count; ++i) {
    TokenIds ids = {0};
    for (int j = 0; j < 3 + (7 * i) % 29; ++j) {
      state = state * 1664525u + 1013904223u;
      ids.push_back(static_cast<int32_t>(6 + (state >> 8) % 4000));
    }
    result.push_back(std::move(ids));
  }
  return result;
}

inline std::vector<TokenIds> greedy(const ModelOptions& model, const std::vector<TokenIds>& prompts,
                                    const RuntimeOptions& runtime = {}, int64_t max_tokens = 12) {
  SilentProgress silent;
  LLM llm(model, runtime, silent);
  const SamplingParams sampling{.max_tokens = max_tokens, .ignore_eos = true};
  std::vector<TokenIds> tokens;
  for (Completion& completion : llm.generate(prompts, sampling)) {
    tokens.push_back(std::move(completion.token_ids));
  }
  return tokens;
}

}  // namespace octavo
