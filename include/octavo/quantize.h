// quantize: calibrates a 16-bit Hugging Face checkpoint and writes a quantized one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "octavo/progress.h"

namespace octavo {

// Quantization algorithms by TensorRT-LLM's names. One that this version has no format for is
// refused with the list of those that it has.
enum class QuantAlgo {
  kNoQuant,
  kFp8,
  kFp8PerChannelPerToken,
  kFp8BlockScales,
  kW8A16,
  kW4A16Awq,
};

// Error(kUnsupported) listing the supported names.
QuantAlgo parse_quant_algo(std::string_view name);  // "FP8"
std::string_view to_string(QuantAlgo algo);

// How a 16-bit checkpoint is quantized before it is built. Neither algorithm: it is not.
struct QuantConfig {
  std::optional<QuantAlgo> quant_algo;           // of the linears
  std::optional<QuantAlgo> kv_cache_quant_algo;  // kFp8
  std::vector<std::string> exclude_modules;      // patterns with * and ?
  // Of kFp8PerChannelPerToken: see QuantizeOptions.
  std::optional<std::pair<float, float>> clamp_val;
  bool use_meta_recipe = false;
  std::optional<double> max_ppl_increase;  // see QuantizeOptions
};

// The texts that scales are taken from.
struct CalibConfig {
  std::string device = "cuda";  // without a CUDA device: the CPU, with one notice
  // A file (JSON lines with `text`, or plain text); cnn_dailymail: the model samples its own set.
  std::string calib_dataset = "cnn_dailymail";
  int64_t calib_batches = 512;
  int64_t calib_batch_size = 1;        // samples a batch
  int64_t calib_max_seq_length = 512;  // tokens a sample
  uint64_t random_seed = 1234;
  int64_t tokenizer_max_seq_length = 2048;  // tokens
  // Of QuantConfig::max_ppl_increase: see QuantizeOptions.
  std::string quality_dataset;
  int64_t quality_tokens = 8192;
  int64_t quality_context = 512;
};

struct QuantizeOptions {
  std::filesystem::path model_dir;
  std::filesystem::path output_dir;
  std::string load_format = "auto";  // dummy: random weights, only config.json is read
  // fp8, fp8_pc_pt, fp8_block, int8_wo, int4_awq, full_prec
  std::string qformat = "fp8";
  // "PATTERN=FORMAT": modules with a format of their own; the first that matches counts.
  std::vector<std::string> module_qformats;
  std::string kv_cache_dtype = "none";  // none, fp8
  std::string dtype = "auto";           // of calibration: auto, float32, bfloat16
  // JSON lines with `text`, or plain text. Empty: the model samples its own set. "cnn_dailymail"
  // means the same. Of dummy weights the set is random token ids.
  std::string calib_dataset;
  int64_t calib_size = 512;
  int64_t batch_size = 1;
  int64_t calib_max_seq_length = 512;       // tokens
  int64_t tokenizer_max_seq_length = 2048;  // tokens
  std::vector<std::string> exclude_modules;
  bool quantize_lm_head = false;
  // Ends that inputs are brought between before they are quantized at run time.
  std::optional<std::pair<float, float>> clamp_val;
  // Meta's recipe of fp8_pc_pt: the first and the last layer and all attention stay in 16 bit, and
  // clamp_val is -1200 to 1200 unless given.
  bool use_meta_recipe = false;
  // By which share perplexity on held-out text may rise over the 16-bit model's; 0.01 is 1 %. The
  // most sensitive layers stay in 16 bit until it holds. Error(kGateFailed) where it never does.
  std::optional<double> max_ppl_increase;
  // The held-out text: JSON lines with `text`, or plain text. Empty, or calib_dataset's own file:
  // the documents behind the first calib_size of that.
  std::string quality_dataset;
  int64_t quality_tokens = 8192;           // of the text, from its beginning
  int64_t quality_context = 512;           // tokens of a window
  std::string export_format = "modelopt";  // modelopt, compressed-tensors
  std::string device = "auto";             // that calibrates: auto, cpu, cuda
  int64_t max_memory = 0;  // bytes of the device that calibration may take; 0: all that is free
  bool allow_nonfinite = false;
  int64_t skip_bad_lines = 0;
  uint64_t seed = 1234;
  bool overwrite = false;
  int threads = 0;  // 0: all
};

// What QuantizeOptions::max_ppl_increase found.
struct QualityReport {
  double reference_perplexity = 0.0;      // 16-bit
  double all_quantized_perplexity = 0.0;  // no layer left out; infinite where it is not finite
  double perplexity = 0.0;                // as written
  double ppl_increase = 0.0;              // a fraction
  std::pair<double, double> ppl_increase_interval;  // 95 %, paired bootstrap over runs of windows
  int64_t tokens = 0;
  int64_t context = 0;
  int64_t models_measured = 0;
  // Mean KL in nats with this layer alone quantized, largest first; empty where all could be.
  std::vector<std::pair<std::string, double>> layer_kl;
  std::vector<std::string> layers_left;  // in 16 bit
  uint64_t bytes_of_layers_left = 0;     // that the checkpoint is larger for them
};

struct QuantizeReport {
  int64_t quantized_linears = 0;
  int64_t samples = 0;
  int64_t tokens = 0;
  uint64_t bytes_before = 0;
  uint64_t bytes_after = 0;
  double seconds = 0.0;
  double calibration_seconds = 0.0;
  std::string device;             // that calibrated
  int64_t peak_device_bytes = 0;  // of calibration
  int64_t spilled_bytes = 0;      // of hidden states that stood on the host
  int64_t peak_host_bytes = 0;    // of the process
  std::vector<std::string> warnings;
  std::string prompt;       // of the sample text
  std::string text_before;  // 16-bit
  std::string text_after;   // quantized
  // The modules that lose most: relative error of the layer's output, largest first.
  std::vector<std::pair<std::string, double>> worst_modules;
  std::optional<QualityReport> quality;  // where max_ppl_increase was given
};

// Throws Error; the output directory appears complete or not at all.
QuantizeReport quantize(const QuantizeOptions& options, Progress& progress);

}  // namespace octavo
