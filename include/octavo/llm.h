// LLM: a model that generates text, from an engine directory or a checkpoint.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "octavo/config.h"
#include "octavo/progress.h"
#include "octavo/quantize.h"

namespace octavo {

// Where a model comes from, and how it is made ready where it is not an engine yet.
struct ModelOptions {
  std::filesystem::path engine_dir;  // either this …
  std::filesystem::path model_dir;  // … or this: a 16-bit or quantized checkpoint, built in memory
  std::string load_format = "auto";  // dummy: random weights, only config.json is read
  std::string qformat = "auto";      // with dummy weights: auto, fp8, full_prec
  BuildConfig build_config;          // of model_dir
  int threads = 0;                   // 0: all
  // What ranks say to each other by. peer: they are threads of this process. nccl: each is a
  // process of its own, which mpirun or torchrun started. auto: nccl where the variables of one of
  // these name several processes.
  std::string communicator = "auto";
};

struct RuntimeOptions {
  KvCacheConfig kv_cache_config;
  std::string scheduler_policy = "guaranteed_no_evict";  // or max_utilization
  int64_t max_batch_size = 0;                            // 0: the engine's; never more
  int64_t max_num_tokens = 0;                            // 0: the engine's; never more
  int depth = 1;  // steps scheduled ahead: 0, 1 or 2; stages add to it
};

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0.0f;
  std::vector<std::pair<int32_t, float>> top;  // likeliest first
};

struct Completion {
  std::string prompt;
  std::vector<int32_t> prompt_token_ids;
  std::string text;
  std::vector<int32_t> token_ids;      // generated, an end id included
  std::string finish_reason;           // stop, length, abort, error
  std::string error;                   // where finish_reason is error
  std::vector<TokenLogprob> logprobs;  // where asked for
};

// What the LLM class takes, by TensorRT-LLM's names. All ranks are of this process, whoever started
// it.
struct LLMArgs {
  std::filesystem::path model;  // a 16-bit or quantized checkpoint, or an engine directory
  int64_t tensor_parallel_size = 1;
  int64_t pipeline_parallel_size = 1;
  std::string dtype = "auto";        // auto, float32, bfloat16
  std::string load_format = "auto";  // dummy: random weights, only config.json is read
  BuildConfig build_config;          // of a checkpoint; an engine is as it was built
  QuantConfig quant_config;          // of a 16-bit checkpoint
  CalibConfig calib_config;
  KvCacheConfig kv_cache_config;
  std::string capacity_scheduler_policy = "guaranteed_no_evict";  // or max_utilization
  int64_t max_batch_size = 0;       // of the run; 0: the engine's; never more
  int64_t max_num_tokens = 0;       // of the run; 0: the engine's; never more
  std::filesystem::path workspace;  // of the quantized checkpoint; empty: the temporary folder
  int threads = 0;                  // 0: all
};

struct PromptInput {
  std::string prompt;                     // used where there are no ids
  std::vector<int32_t> prompt_token_ids;  // taken as they are
  SamplingParams sampling;
};

// What a completion gained since the last piece.
struct CompletionPiece {
  std::string text;
  std::vector<int32_t> token_ids;
  std::vector<TokenLogprob> logprobs;
};

// A request under way. Copies share it; it goes on when all are gone. Any thread may call; what is
// still running when the LLM goes ends with finish_reason "abort".
class PendingCompletion {
 public:
  struct State;
  explicit PendingCompletion(std::shared_ptr<State> state) : state_(std::move(state)) {}

  // The next piece, waited for; nothing after the last. Without streaming there is one, the whole.
  std::optional<CompletionPiece> next();
  std::optional<CompletionPiece> try_next();  // the same without waiting
  // Whether a piece, or the end, is there within this time.
  bool wait_for(std::chrono::milliseconds timeout) const;
  bool wait_end_for(std::chrono::milliseconds timeout) const;
  bool ended() const;
  bool has_piece() const;
  Completion result() const;  // waits for the end
  // Ends the request soon, with finish_reason "abort"; the tokens so far stay.
  void cancel();
  // Called on the engine's thread after every piece and at the end; it must be quick and not throw.
  // Called once now where something is there already. The call at the end may still run when
  // result() has returned: the callback shares what it refers to.
  void on_piece(std::function<void()> callback);

 private:
  std::shared_ptr<State> state_;
};

// Whether this process would follow another one, as LLM::follows() says, if it loaded that model.
bool follows_another_process(const ModelOptions& model);

// Throws Error(kUnsupported) where mpirun or torchrun started several processes: what `work` names
// is done by one.
void expect_one_process(std::string_view work);

class LLM {
 public:
  // Called on the engine's thread with the index of the prompt and the text that a token completed.
  using StreamCallback = std::function<void(size_t prompt, std::string_view text)>;

  // Loads an engine; builds a checkpoint in memory, after quantizing it where quant_config asks.
  LLM(const LLMArgs& args, Progress& progress);
  LLM(const ModelOptions& model, const RuntimeOptions& runtime, Progress& progress);
  ~LLM();
  LLM(LLM&&) noexcept;
  LLM& operator=(LLM&&) noexcept;

  // One completion a prompt, in order. Throws Error(kUsage) for a prompt or parameter that can
  // never run.
  std::vector<Completion> generate(const std::vector<std::string>& prompts,
                                   const SamplingParams& sampling,
                                   const StreamCallback& on_text = nullptr);
  // The same for token ids, which are taken as they are.
  std::vector<Completion> generate(const std::vector<std::vector<int32_t>>& prompts,
                                   const SamplingParams& sampling,
                                   const StreamCallback& on_text = nullptr);

  // The same with parameters of each prompt's own.
  std::vector<Completion> generate(const std::vector<PromptInput>& inputs,
                                   const StreamCallback& on_text = nullptr);

  // Returns at once. Any thread may call. All inputs run or, where one can never run, none.
  std::vector<PendingCompletion> generate_async(const std::vector<PromptInput>& inputs,
                                                bool streaming = false);
  PendingCompletion generate_async(const PromptInput& input, bool streaming = false);

  // Whether this process is one of several and not the first: it has part of the model, takes no
  // prompts, and does nothing but follow() the first one until that LLM is gone.
  bool follows() const;
  void follow();

  // Writes the engine; the directory appears complete or not at all.
  void save(const std::filesystem::path& engine_dir, Progress& progress, bool overwrite = false);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace octavo
