// Greedy text of the 16-bit and the quantized model.
// SPDX-License-Identifier: Apache-2.0
#include "api/sample_text.h"

#include <unistd.h>

#include "core/error.h"
#include "core/log.h"
#include "octavo/llm.h"

namespace octavo {
namespace {

constexpr const char* kPrompt = "The quick brown fox";
constexpr int64_t kTokens = 32;

std::string greedy_text(const std::filesystem::path& model_dir, const std::string& load_format,
                        const QuantizeOptions& options) {
  ModelOptions model{
      .model_dir = model_dir, .load_format = load_format, .threads = options.threads};
  model.build_config.max_batch_size = 1;
  model.build_config.max_num_tokens = 256;
  RuntimeOptions runtime;
  runtime.kv_cache_config.max_tokens = 256;
  SilentProgress silent;
  LLM llm(model, runtime, silent);
  SamplingParams sampling;
  sampling.max_tokens = kTokens;
  return llm.generate(std::vector<std::string>{kPrompt}, sampling).front().text;
}

}  // namespace

void add_sample_texts(QuantizeReport& report, const QuantizeOptions& options) {
  std::error_code error;
  if (!std::filesystem::exists(options.model_dir / "tokenizer.json", error)) return;
  const auto available = static_cast<uint64_t>(sysconf(_SC_AVPHYS_PAGES)) *
                         static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  if (report.bytes_before > available / 2) {
    log_info("no sample text: the 16-bit model does not fit in memory");
    return;
  }
  try {
    report.text_before = greedy_text(options.model_dir, options.load_format, options);
    report.text_after = greedy_text(options.output_dir, "auto", options);
    report.prompt = kPrompt;
  } catch (const Error& failure) {
    // The checkpoint is written and complete; this machine's GPU has no kernels for its scheme.
    if (failure.category() != ErrorCategory::kUnsupported) throw;
    log_info("no sample text: {}", failure.what());
  }
}

}  // namespace octavo
