// Reading of ShareGPT files by JSON events, so that only the two turns wanted are held.
// SPDX-License-Identifier: Apache-2.0
#include "measure/sharegpt.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <utility>

#include "core/error.h"
#include "io/file.h"
#include "io/json.h"
#include "measure/random.h"

namespace octavo {
namespace {

// The published file has 0.7 GB and 330,000 conversations.
constexpr JsonLimits kLimits{.bytes = uint64_t{2} << 30, .depth = 64, .values = 200'000'000};
constexpr size_t kMinTokens = 4;
constexpr size_t kMaxPromptTokens = 1024;
constexpr size_t kMaxTotalTokens = 2048;

struct Conversation {
  std::array<std::string, 2> turns;
  int count = 0;  // of turns with text
};

// Depths: 1 the list, 2 a conversation, 3 its turns, 4 a turn. What stands elsewhere is ignored.
class ConversationEvents : public JsonEvents {
 public:
  std::vector<Conversation> conversations;

  void null() override { leaf(); }
  void boolean(bool) override { leaf(); }
  void negative_integer(int64_t) override { leaf(); }
  void unsigned_integer(uint64_t) override { leaf(); }
  void number(double) override { leaf(); }
  void string(std::string& text) override {
    leaf();
    if (depth_ != 4 || !in_turns_ || !key_is_value_) return;
    Conversation& current = conversations.back();
    if (current.count < 2) current.turns[static_cast<size_t>(current.count)] = std::move(text);
    ++current.count;
  }
  void start_object() override {
    if (depth_ == 0) leaf();
    if (++depth_ == 2) conversations.emplace_back();
  }
  void key(std::string& name) override {
    if (depth_ == 2) in_turns_ = name == "conversations";
    key_is_value_ = depth_ == 4 && name == "value";
  }
  void end_object() override { --depth_; }
  void start_array() override {
    if (depth_ == 1) leaf();
    ++depth_;
  }
  void end_array() override { --depth_; }

 private:
  // Called for what may stand inside a conversation only.
  void leaf() const {
    if (depth_ == 0) fail("expected a list of conversations");
    if (depth_ == 1) fail("expected a conversation, an object with \"conversations\"");
  }

  int depth_ = 0;
  bool in_turns_ = false;
  bool key_is_value_ = false;
};

std::vector<Conversation> read_conversations(const std::filesystem::path& path) {
  const File file = File::open_read(path);
  if (file.size() > kLimits.bytes) {
    throw unsupported(
        file.path(), "",
        fmt::format("{} bytes; expected at most {} in one list", file.size(), kLimits.bytes));
  }
  ConversationEvents events;
  parse_json_events(file.read_text(), file.path(), kLimits, events);
  file.verify_unchanged();
  return std::move(events.conversations);
}

void shuffle(std::vector<Conversation>& conversations, uint64_t seed) {
  Random random(seed);
  for (size_t i = conversations.size(); i > 1; --i) {
    std::swap(conversations[i - 1], conversations[random.below(i)]);
  }
}

std::optional<BenchRequest> to_request(Conversation& conversation,
                                       const TokenizeFunction& tokenize) {
  if (conversation.count < 2) return std::nullopt;
  BenchRequest request{.prompt = std::move(conversation.turns[0])};
  request.input_ids = tokenize(request.prompt);
  const size_t prompt_tokens = request.input_ids.size();
  if (prompt_tokens < kMinTokens || prompt_tokens > kMaxPromptTokens) return std::nullopt;
  const size_t completion_tokens = tokenize(conversation.turns[1]).size();
  if (completion_tokens < kMinTokens || prompt_tokens + completion_tokens > kMaxTotalTokens) {
    return std::nullopt;
  }
  request.output_tokens = static_cast<int64_t>(completion_tokens);
  return request;
}

}  // namespace

Dataset read_sharegpt(const std::filesystem::path& path, const DatasetOptions& options) {
  if (!options.tokenize) {
    throw unsupported(path.string(), "",
                      "conversations need a tokenizer, and the model's folder holds none");
  }
  std::vector<Conversation> conversations = read_conversations(path);
  shuffle(conversations, options.seed);
  Dataset dataset{.format = "sharegpt"};
  for (Conversation& conversation : conversations) {
    const auto held = static_cast<int64_t>(dataset.requests.size());
    if (options.num_requests > 0 && held >= options.num_requests) break;
    auto request = to_request(conversation, options.tokenize);
    if (!request) {
      ++dataset.dropped;
      continue;
    }
    request->task_id = held;
    dataset.requests.push_back(std::move(*request));
  }
  return dataset;
}

}  // namespace octavo
