// octavo generate.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "octavo/error.h"
#include "octavo/llm.h"
#include "options.h"

namespace octavo::app {
namespace {

struct GenerateOptions {
  ModelOptions model;
  RuntimeOptions runtime;
  SamplingParams sampling{.max_tokens = 128};
  std::vector<std::string> prompts;
  std::filesystem::path prompt_file;
  bool stream = false;
  bool json = false;

  // What the parser fills before it goes into `sampling`.
  std::optional<double> temperature, top_p, min_p, repetition_penalty, presence_penalty,
      frequency_penalty;
  std::optional<int64_t> top_k, logprobs, seed;
};

// One prompt a line.
void read_prompt_file(GenerateOptions& options) {
  if (options.prompt_file.empty()) return;
  if (!std::filesystem::is_regular_file(options.prompt_file)) {
    throw Error(ErrorCategory::kBadFile, options.prompt_file.string(), "", "expected a text file");
  }
  std::ifstream file(options.prompt_file);
  if (!file)
    throw Error(ErrorCategory::kEnvironment, options.prompt_file.string(), "", "cannot be opened");
  for (std::string line; std::getline(file, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) options.prompts.push_back(line);
  }
}

SamplingParams sampling_of(const GenerateOptions& options) {
  SamplingParams sampling = options.sampling;
  const auto set = [](std::optional<float>& to, const std::optional<double>& from) {
    if (from) to = static_cast<float>(*from);
  };
  set(sampling.temperature, options.temperature);
  set(sampling.top_p, options.top_p);
  set(sampling.min_p, options.min_p);
  set(sampling.repetition_penalty, options.repetition_penalty);
  set(sampling.presence_penalty, options.presence_penalty);
  set(sampling.frequency_penalty, options.frequency_penalty);
  if (options.top_k) sampling.top_k = static_cast<int32_t>(*options.top_k);
  if (options.logprobs) sampling.logprobs = static_cast<int32_t>(*options.logprobs);
  if (options.seed) sampling.seed = static_cast<uint64_t>(*options.seed);
  return sampling;
}

nlohmann::ordered_json to_json(const Completion& completion) {
  nlohmann::ordered_json json = {{"prompt", completion.prompt},
                                 {"text", completion.text},
                                 {"token_ids", completion.token_ids},
                                 {"finish_reason", completion.finish_reason},
                                 {"prompt_tokens", completion.prompt_token_ids.size()}};
  if (!completion.error.empty()) json["error"] = completion.error;
  for (const TokenLogprob& token : completion.logprobs) {
    nlohmann::ordered_json top = nlohmann::ordered_json::array();
    for (const auto& [id, logprob] : token.top)
      top.push_back({{"token", id}, {"logprob", logprob}});
    json["logprobs"].push_back({{"token", token.token}, {"logprob", token.logprob}, {"top", top}});
  }
  return json;
}

void print(const std::vector<Completion>& completions, const GenerateOptions& options) {
  for (const Completion& completion : completions) {
    if (options.json) {
      fmt::print(
          "{}\n",
          to_json(completion).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    } else if (options.stream) {
      fmt::print("\n");
    } else {
      fmt::print("{}{}\n", completion.prompt, completion.text);
    }
  }
}

int run(GenerateOptions options) {
  read_prompt_file(options);
  if (options.prompts.empty())
    throw Error(ErrorCategory::kUsage, "expected --prompt or --prompt_file");
  if (options.stream && (options.json || options.prompts.size() > 1)) {
    throw Error(ErrorCategory::kUsage, "--stream takes one prompt and no --json");
  }
  LLM llm(options.model, options.runtime, *progress_of(options.model));
  if (llm.follows()) {
    llm.follow();
    return 0;
  }
  LLM::StreamCallback on_text;
  if (options.stream) {
    fmt::print("{}", options.prompts.front());
    on_text = [](size_t, std::string_view text) {
      fmt::print("{}", text);
      std::fflush(stdout);
    };
  }
  const std::vector<Completion> completions =
      llm.generate(options.prompts, sampling_of(options), on_text);
  print(completions, options);
  for (const Completion& completion : completions) {
    if (!completion.error.empty())
      throw Error(ErrorCategory::kInternal, "generation failed: " + completion.error);
  }
  return 0;
}

void add_sampling_options(CLI::App& app, GenerateOptions& options) {
  const auto number = [&](const char* name, std::optional<double>& value, FloatLimits limits,
                          const char* help) {
    add_float(app, name, value, limits, help)->group("Sampling");
  };
  add_int(app, "max_tokens", options.sampling.max_tokens, {1}, "most tokens to generate")
      ->group("Sampling");
  add_int(app, "min_tokens", options.sampling.min_tokens, {0}, "tokens before an end is allowed")
      ->group("Sampling");
  number("temperature", options.temperature, {0.0, 2.0},
         "divides the logits; 0: greedy, as when no option of this group is set");
  number("top_p", options.top_p, {0.0, 1.0},
         "draw from the likeliest tokens that make up this probability");
  add_int(app, "top_k", options.top_k, {0, 1 << 24}, "draw from so many likeliest tokens; 0: all")
      ->group("Sampling");
  number("min_p", options.min_p, {0.0, 1.0}, "drop tokens below this share of the likeliest one");
  number("repetition_penalty", options.repetition_penalty, {0.0, 1e3},
         "divides the logits of tokens of prompt and output; 1: none");
  number("presence_penalty", options.presence_penalty, {-2.0, 2.0},
         "subtracted for tokens of the output");
  number("frequency_penalty", options.frequency_penalty, {-2.0, 2.0},
         "subtracted for tokens of the output");
  add_int(app, "logprobs", options.logprobs, {0, 20},
          "log-probabilities of the token and of so many likeliest; shown by --json")
      ->group("Sampling");
  add_int(app, "seed", options.seed, {0}, "of the random draws")->group("Sampling");
  add_list(app, "stop", options.sampling.stop, "text that ends the output; may be repeated")
      ->group("Sampling");
  add_flag(app, "ignore_eos", options.sampling.ignore_eos, "go on after the end token")
      ->group("Sampling");
}

// Named so that nobody believes they work.
void refuse_unsupported(CLI::App& app) {
  for (const char* name :
       {"num_beams", "beam_width", "n", "lora_dir", "guided_decoding", "draft_model_dir"}) {
    app.add_option_function<std::string>(
           spellings(name),
           [name](const std::string&) {
             throw Error(ErrorCategory::kUnsupported, fmt::format("--{}: not supported", name));
           },
           "not supported")
        ->group("");
  }
}

}  // namespace

std::vector<Command> add_generate(CLI::App& program) {
  CLI::App& app = *program.add_subcommand("generate", "Generate text from prompts");
  auto options = std::make_shared<GenerateOptions>();
  add_list(app, "prompt", options->prompts, "a prompt; may be repeated");
  add_path(app, "prompt_file", options->prompt_file, "prompts, one a line");
  add_flag(app, "stream", options->stream, "print the prompt and the text as it comes; one prompt");
  add_flag(app, "json", options->json, "print one JSON object a prompt, one a line");
  add_sampling_options(app, *options);
  add_model_options(app, options->model);
  add_runtime_options(app, options->runtime);
  refuse_unsupported(app);
  app.footer(
      "Examples:\n"
      "  octavo generate --engine_dir engine --prompt \"The compiler\" --max_tokens 64\n"
      "  octavo generate --model_dir Llama-3.1-8B --prompt_file prompts.txt --temperature 0.7 "
      "--top_p 0.9 --json");
  return {{&app, [options] { return run(*options); }}};
}

}  // namespace octavo::app
