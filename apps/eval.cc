// octavo eval perplexity | compare | choice.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "octavo/error.h"
#include "octavo/evaluate.h"
#include "options.h"

namespace octavo::app {
namespace {

struct EvalArguments {
  ModelOptions model;
  std::filesystem::path reference;
  EvalOptions eval;
  ChoiceEvalOptions choice;
  CompareBudget budget;
  bool layer_sensitivity = false;
  std::filesystem::path report_json;
  bool json = false;
};

nlohmann::ordered_json to_json(const Interval& interval) { return {interval.low, interval.high}; }

void deliver(const nlohmann::ordered_json& report, const std::string& text,
             const EvalArguments& arguments) {
  fmt::print("{}", arguments.json ? report.dump(2) + "\n" : text);
  if (!arguments.report_json.empty()) write_report(arguments.report_json, report.dump(2) + "\n");
}

int run_perplexity(const EvalArguments& arguments) {
  const PerplexityReport r =
      evaluate_perplexity(arguments.model, arguments.eval, *progress_of(arguments.model));
  if (follows_another_process(arguments.model)) return 0;  // the first one reports
  const nlohmann::ordered_json json = {
      {"perplexity", r.perplexity}, {"interval95", to_json(r.interval)},
      {"tokens", r.tokens},         {"windows", r.windows},
      {"context", r.context},       {"seconds", r.seconds}};
  deliver(
      json,
      fmt::format(
          "perplexity {:.4f}  (95 %: {:.4f} to {:.4f}), {} tokens in {} windows of {}, {:.1f} s\n",
          r.perplexity, r.interval.low, r.interval.high, r.tokens, r.windows, r.context, r.seconds),
      arguments);
  return 0;
}

using LayerKl = std::vector<std::pair<std::string, double>>;

std::string compare_text(const CompareReport& r, const LayerKl& layers) {
  const auto row = [](const char* name, double value, const Interval& interval, const char* unit) {
    return fmt::format("{:<22}{:>10.4f} {:<5} (95 %: {:.4f} to {:.4f})\n", name, value, unit,
                       interval.low, interval.high);
  };
  const auto percent = [](Interval i) { return Interval{100 * i.low, 100 * i.high}; };
  std::string text = fmt::format("{:<22}{:>10.4f}\n{:<22}{:>10.4f}\n", "reference perplexity",
                                 r.reference_perplexity, "engine perplexity", r.engine_perplexity);
  text += row("perplexity increase", 100 * r.ppl_increase, percent(r.ppl_increase_interval), "%");
  text += row("mean KL", r.mean_kl, r.mean_kl_interval, "nats");
  text += row("top-1 agreement", 100 * r.top1_agreement, percent(r.top1_agreement_interval), "%");
  text += fmt::format("{} tokens in {} windows, {:.1f} s\n", r.tokens, r.windows, r.seconds);
  if (!layers.empty()) text += "mean KL with one layer quantized alone:\n";
  for (const auto& [layer, kl] : layers) text += fmt::format("  {:.6f} nats  {}\n", kl, layer);
  for (const std::string& failure : r.failures) text += "FAILED: " + failure + "\n";
  return text;
}

nlohmann::ordered_json to_json(const LayerKl& layers) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const auto& [layer, kl] : layers) json.push_back({{"layer", layer}, {"mean_kl", kl}});
  return json;
}

// What --reference names, with the build options of the model.
ModelOptions reference_of(const EvalArguments& arguments) {
  ModelOptions reference = arguments.model;
  reference.engine_dir.clear();
  reference.model_dir.clear();
  (std::filesystem::exists(arguments.reference / "rank0.engine") ? reference.engine_dir
                                                                 : reference.model_dir) =
      arguments.reference;
  reference.build_config.kv_cache_dtype = "auto";
  return reference;
}

int run_compare(const EvalArguments& arguments) {
  const ModelOptions reference = reference_of(arguments);
  LayerKl layers;  // first: what it refuses costs nothing
  if (arguments.layer_sensitivity)
    layers =
        evaluate_layer_sensitivity(reference, arguments.model, arguments.eval, *stderr_progress());
  const CompareReport r = evaluate_compare(reference, arguments.model, arguments.eval,
                                           arguments.budget, *stderr_progress());
  nlohmann::ordered_json json = {{"reference", {{"perplexity", r.reference_perplexity}}},
                                 {"engine", {{"perplexity", r.engine_perplexity}}},
                                 {"ppl_increase", r.ppl_increase},
                                 {"ppl_increase_interval95", to_json(r.ppl_increase_interval)},
                                 {"mean_kl", r.mean_kl},
                                 {"mean_kl_interval95", to_json(r.mean_kl_interval)},
                                 {"top1_agreement", r.top1_agreement},
                                 {"top1_agreement_interval95", to_json(r.top1_agreement_interval)},
                                 {"tokens", r.tokens},
                                 {"windows", r.windows},
                                 {"seconds", r.seconds},
                                 {"verdict", r.failures.empty() ? "pass" : "fail"},
                                 {"failures", r.failures}};
  if (!layers.empty()) json["layer_sensitivity"] = to_json(layers);
  deliver(json, compare_text(r, layers), arguments);
  return r.failures.empty() ? 0 : exit_code(ErrorCategory::kGateFailed);
}

std::string choice_text(const ChoiceReport& r) {
  std::string text =
      fmt::format("accuracy {:.2f} %  (95 %: {:.2f} to {:.2f}), {} questions\n", 100 * r.accuracy,
                  100 * r.accuracy_interval.low, 100 * r.accuracy_interval.high, r.questions);
  if (r.reference_accuracy) {
    text += fmt::format(
        "reference {:.2f} %; right alone: {} engine, {} reference; p of equal accuracy {:.4f}\n",
        100 * *r.reference_accuracy, r.only_engine_right, r.only_reference_right, r.p_value);
  }
  for (const std::string& failure : r.failures) text += "FAILED: " + failure + "\n";
  return text + fmt::format("{:.1f} s\n", r.seconds);
}

int run_choice(const EvalArguments& arguments) {
  const bool paired = !arguments.reference.empty();
  const ChoiceReport r = evaluate_choice(
      arguments.model, paired ? std::optional(reference_of(arguments)) : std::nullopt,
      arguments.choice, *stderr_progress());
  nlohmann::ordered_json json = {
      {"accuracy", r.accuracy},   {"accuracy_interval95", to_json(r.accuracy_interval)},
      {"questions", r.questions}, {"reference", nullptr},
      {"seconds", r.seconds},     {"verdict", r.failures.empty() ? "pass" : "fail"},
      {"failures", r.failures}};
  if (paired) {
    json["reference"] = {{"accuracy", *r.reference_accuracy},
                         {"only_engine_right", r.only_engine_right},
                         {"only_reference_right", r.only_reference_right},
                         {"p_value", r.p_value}};
  }
  deliver(json, choice_text(r), arguments);
  return r.failures.empty() ? 0 : exit_code(ErrorCategory::kGateFailed);
}

void add_output(CLI::App& app, EvalArguments& arguments) {
  add_path(app, "report_json", arguments.report_json, "write the report to this file as JSON");
  add_flag(app, "json", arguments.json, "print the report as JSON");
  add_model_options(app, arguments.model);
}

CLI::App& add_choice_command(CLI::App& eval, EvalArguments& arguments) {
  CLI::App& app = *eval.add_subcommand("choice", "Accuracy on multiple-choice questions");
  add_path(app, "dataset", arguments.choice.dataset,
           "questions in MMLU's layout: .csv, or JSON lines with question, choices, answer")
      ->required();
  add_path(app, "fewshot_dataset", arguments.choice.fewshot_dataset,
           "examples; default: the first questions of --dataset, which are then not asked");
  add_int(app, "num_fewshot", arguments.choice.num_fewshot, {0}, "examples before a question");
  add_int(app, "max_questions", arguments.choice.max_questions, {0}, "0: all");
  add_path(app, "reference", arguments.reference,
           "16-bit checkpoint, or engine, to compare with on the same questions");
  add_share(app, "max_accuracy_drop", arguments.choice.max_accuracy_drop,
            "budget against the reference, such as 1% or 0.01; exit 1 above it");
  add_output(app, arguments);
  app.footer(
      "Example:\n  octavo eval choice --engine_dir engine --dataset mmlu_test.csv "
      "--fewshot_dataset mmlu_dev.csv \\\n    --reference Llama-3.1-8B");
  return app;
}

void add_common(CLI::App& app, EvalArguments& arguments) {
  add_path(app, "dataset", arguments.eval.dataset,
           "JSON lines with a \"text\" field, or plain text")
      ->required();
  add_int(app, "context", arguments.eval.context, {1}, "tokens predicted in a window");
  add_int(app, "max_tokens", arguments.eval.max_tokens, {0}, "most tokens of the text; 0: all");
  add_int(app, "skip_bad_lines", arguments.eval.skip_bad_lines, {0},
          "how many malformed lines of the data set are skipped; one more is an error");
  add_output(app, arguments);
}

}  // namespace

std::vector<Command> add_eval(CLI::App& program) {
  CLI::App& eval = *program.add_subcommand("eval", "Measure quality");
  eval.require_subcommand(1);
  auto perplexity_arguments = std::make_shared<EvalArguments>();
  CLI::App& perplexity = *eval.add_subcommand("perplexity", "Perplexity of one model");
  add_common(perplexity, *perplexity_arguments);
  perplexity.footer(
      "Example:\n  octavo eval perplexity --engine_dir engine --dataset heldout.jsonl "
      "--report_json ppl.json");
  auto compare_arguments = std::make_shared<EvalArguments>();
  CLI::App& compare =
      *eval.add_subcommand("compare", "What quantization costs: a model against a reference");
  add_path(compare, "reference", compare_arguments->reference,
           "16-bit checkpoint, or engine, to compare with")
      ->required();
  add_share(compare, "max_ppl_increase", compare_arguments->budget.max_ppl_increase,
            "budget, such as 1% or 0.01; exit 1 above it");
  add_float(compare, "max_kl", compare_arguments->budget.max_kl, {0.0},
            "budget in nats; exit 1 above it");
  add_flag(compare, "layer_sensitivity", compare_arguments->layer_sensitivity,
           "also what each layer of the quantized checkpoint costs by itself");
  add_common(compare, *compare_arguments);
  compare.footer(
      "Build options apply to --model_dir and to a --reference that is a checkpoint, whose KV "
      "cache stays\n"
      "16-bit.\n\nExample:\n"
      "  octavo eval compare --reference Llama-3.1-8B --engine_dir engine --dataset heldout.jsonl "
      "\\\n"
      "    --max_ppl_increase 1%");
  auto choice_arguments = std::make_shared<EvalArguments>();
  CLI::App& choice = add_choice_command(eval, *choice_arguments);
  return {{&choice, [choice_arguments] { return run_choice(*choice_arguments); }},
          {&perplexity, [perplexity_arguments] { return run_perplexity(*perplexity_arguments); }},
          {&compare, [compare_arguments] { return run_compare(*compare_arguments); }}};
}

}  // namespace octavo::app
