// octavo quantize.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/quantize.h"

#include <fmt/format.h>

#include <algorithm>

#include "commands.h"
#include "interrupt.h"
#include "options.h"

namespace octavo::app {
namespace {

void print(const QualityReport& quality, const QuantizeOptions& options) {
  fmt::print("perplexity on {} held-out tokens: 16-bit {:.4f}, all layers quantized {:.4f}\n",
             quality.tokens, quality.reference_perplexity, quality.all_quantized_perplexity);
  fmt::print(
      "as written {:.4f}: {:+.3f} % (95 %: {:+.3f} to {:+.3f}), budget {:.3f} %; {} models "
      "measured\n",
      quality.perplexity, 100 * quality.ppl_increase, 100 * quality.ppl_increase_interval.first,
      100 * quality.ppl_increase_interval.second, 100 * *options.max_ppl_increase,
      quality.models_measured);
  fmt::print("{} layers left in 16 bit, {:.1f} MB for them\n", quality.layers_left.size(),
             static_cast<double>(quality.bytes_of_layers_left) / 1e6);
  for (const auto& [layer, kl] : quality.layer_kl) {
    const bool left = std::ranges::find(quality.layers_left, layer) != quality.layers_left.end();
    fmt::print("  {:.6f} nats  {}{}\n", kl, layer, left ? "  (16 bit)" : "");
  }
}

void print(const QuantizeReport& report, const QuantizeOptions& options) {
  fmt::print("{} linears quantized ({}), {} samples, {} tokens\n", report.quantized_linears,
             options.qformat, report.samples, report.tokens);
  fmt::print(
      "{:.1f} MB -> {:.1f} MB in {}, {:.1f} s\n", static_cast<double>(report.bytes_before) / 1e6,
      static_cast<double>(report.bytes_after) / 1e6, options.output_dir.string(), report.seconds);
  fmt::print(
      "calibration on {}: {:.1f} s, peak {:.2f} GB of the device, {:.2f} GB of hidden states "
      "on the host; peak of the process {:.2f} GB\n",
      report.device, report.calibration_seconds,
      static_cast<double>(report.peak_device_bytes) / 1e9,
      static_cast<double>(report.spilled_bytes) / 1e9,
      static_cast<double>(report.peak_host_bytes) / 1e9);
  if (report.quality) print(*report.quality, options);
  if (!report.worst_modules.empty()) fmt::print("\nlargest relative error of a linear's output:\n");
  for (const auto& [module, error] : report.worst_modules)
    fmt::print("  {:6.3f} %  {}\n", 100 * error, module);
  if (!report.prompt.empty()) {
    fmt::print("\nsample text (greedy)\n  before: {}{}\n  after:  {}{}\n", report.prompt,
               report.text_before, report.prompt, report.text_after);
  }
}

void add_quality(CLI::App& app, QuantizeOptions& options) {
  add_share(app, "max_ppl_increase", options.max_ppl_increase,
            "the most sensitive layers stay in 16 bit until perplexity on held-out text rises by "
            "no more than this: 1% or 0.01");
  add_text(app, "quality_dataset", options.quality_dataset,
           "the held-out text; without it what --calib_dataset has behind --calib_size documents")
      ->type_name("FILE");
  add_int(app, "quality_tokens", options.quality_tokens, {1}, "tokens of the held-out text");
  add_int(app, "quality_context", options.quality_context, {1}, "tokens of a window of it");
}

}  // namespace

std::vector<Command> add_quantize(CLI::App& program) {
  CLI::App& app = *program.add_subcommand(
      "quantize", "Calibrate a 16-bit checkpoint and write a quantized one");
  auto options = std::make_shared<QuantizeOptions>();
  add_path(app, "model_dir", options->model_dir,
           "Hugging Face folder: config.json, *.safetensors, tokenizer.json")
      ->required();
  add_path(app, "output_dir", options->output_dir, "folder to write")->required();
  add_choice(app, "load_format", options->load_format, "auto|dummy",
             "dummy: random weights, only config.json is read");
  add_choice(
      app, "qformat", options->qformat, "fp8|fp8_pc_pt|fp8_block|int8_wo|int4_awq|full_prec",
      "fp8: static per-tensor FP8; fp8_pc_pt: FP8 with a scale per channel of the weight and "
      "per token of the input; fp8_block: FP8 by 128 x 128 and 1 x 128; int8_wo, int4_awq: "
      "integer weights, 16-bit inputs; full_prec: 16-bit linears, for an FP8 KV cache alone");
  add_list(app, "module_qformat", options->module_qformats,
           "PATTERN=FORMAT: modules with a format of their own; may be repeated");
  add_choice(app, "kv_cache_dtype", options->kv_cache_dtype, "none|fp8",
             "fp8: calibrated scales for an FP8 KV cache");
  add_choice(app, "dtype", options->dtype, "auto|float32|bfloat16",
             "arithmetic of calibration; auto: the checkpoint's");
  add_text(
      app, "calib_dataset", options->calib_dataset,
      "JSON lines with a \"text\" field, or plain text; without it the model samples its own set")
      ->type_name("FILE");
  add_int(app, "calib_size", options->calib_size, {1},
          "most samples: the first documents of the file");
  add_int(app, "batch_size", options->batch_size, {1, 4096},
          "samples of a step; does not change the result");
  add_int(app, "calib_max_seq_length", options->calib_max_seq_length, {1},
          "most tokens of a sample");
  add_int(app, "tokenizer_max_seq_length", options->tokenizer_max_seq_length, {1},
          "most tokens of a document that are looked at");
  add_list(app, "exclude_modules", options->exclude_modules,
           "pattern (*, ?) of modules that stay in 16 bit; may be repeated");
  add_flag(app, "quantize_lm_head", options->quantize_lm_head, "quantize lm_head too");
  add_range(app, "clamp_val", options->clamp_val,
            "inputs are brought between these before they are quantized at run time");
  add_flag(app, "use_meta_recipe", options->use_meta_recipe,
           "with fp8_pc_pt: first and last layer and attention stay in 16 bit, inputs are clamped "
           "to +-1200");
  add_quality(app, *options);
  add_choice(app, "export_format", options->export_format, "modelopt|compressed-tensors",
             "layout of the checkpoint");
  add_choice(app, "device", options->device, "auto|cpu|cuda", "where calibration runs");
  add_int(app, "max_memory", options->max_memory, {0},
          "bytes of the device that calibration may take; hidden states beyond go to the host");
  add_flag(app, "allow_nonfinite", options->allow_nonfinite,
           "accept weights that are NaN or infinite");
  add_int(app, "skip_bad_lines", options->skip_bad_lines, {0},
          "how many malformed lines of the data set are skipped; one more is an error");
  add_seed(app, options->seed);
  add_threads(app, options->threads);
  add_flag(app, "overwrite", options->overwrite,
           "replace the output folder if an earlier run wrote it");
  app.footer(
      "Example:\n"
      "  octavo quantize --model_dir Llama-3.1-8B --output_dir llama-fp8 --kv_cache_dtype fp8 \\\n"
      "    --calib_dataset texts.jsonl");
  return {{&app, [options] {
             Interruptible progress(stderr_progress());
             const QuantizeReport report = quantize(*options, progress);
             print(report, *options);
             return 0;
           }}};
}

}  // namespace octavo::app
