// The strict JSON reader, over nlohmann's SAX parser, which does not recurse.
// SPDX-License-Identifier: Apache-2.0
#include "io/json.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/error.h"
#include "io/download.h"
#include "io/file.h"

namespace octavo {
namespace {

// Hands characters to the lexer and counts them, since SAX events carry no position.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, uint64_t* consumed) : at_(at), consumed_(consumed) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    ++*consumed_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  uint64_t* consumed_;
};

// Applies the limits and forwards to JsonEvents.
class SaxDriver : public nlohmann::json_sax<nlohmann::json> {
 public:
  SaxDriver(std::string_view text, std::string_view file, const JsonLimits& limits,
            const uint64_t* consumed, JsonEvents& events)
      : text_(text), file_(file), limits_(limits), consumed_(consumed), events_(events) {}

  bool null() override {
    count();
    events_.null();
    return true;
  }
  bool boolean(bool value) override {
    count();
    events_.boolean(value);
    return true;
  }
  bool number_integer(int64_t value) override {
    count();
    events_.negative_integer(value);
    return true;
  }
  bool number_unsigned(uint64_t value) override {
    count();
    events_.unsigned_integer(value);
    return true;
  }
  bool number_float(double value, const std::string&) override {
    count();
    events_.number(value);
    return true;
  }
  bool string(std::string& value) override {
    count();
    events_.string(value);
    return true;
  }
  bool binary(nlohmann::json::binary_t&) override { return false; }  // not a JSON text event
  bool start_object(size_t) override {
    open();
    events_.start_object();
    return true;
  }
  bool key(std::string& name) override {
    events_.key(name);
    return true;
  }
  bool end_object() override {
    --depth_;
    events_.end_object();
    return true;
  }
  bool start_array(size_t) override {
    open();
    events_.start_array();
    return true;
  }
  bool end_array() override {
    --depth_;
    events_.end_array();
    return true;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    fail_json_at(text_, file_, position, reason_of(error.what()));
  }

 private:
  // The library's text without its "[json.exception…] parse error at line 1, column 2: " prefix.
  static std::string reason_of(std::string_view what) {
    if (const size_t end = what.find("] "); end != std::string_view::npos)
      what.remove_prefix(end + 2);
    if (what.starts_with("parse error at ")) {
      const size_t end = what.find(": ");
      if (end != std::string_view::npos) what.remove_prefix(end + 2);
    }
    return printable(what, 300);
  }
  void count() {
    if (++values_ > limits_.values) {
      fail_json_at(text_, file_, *consumed_, fmt::format("more than {} values", limits_.values));
    }
  }
  void open() {
    count();
    if (++depth_ > limits_.depth) {
      fail_json_at(text_, file_, *consumed_,
                   fmt::format("nested deeper than {} levels", limits_.depth));
    }
  }

  std::string_view text_, file_;
  const JsonLimits& limits_;
  const uint64_t* consumed_;
  JsonEvents& events_;
  uint64_t values_ = 0;
  int depth_ = 0;
};

// Builds the document; the open containers stand on a stack.
class DocumentBuilder : public JsonEvents {
 public:
  void null() override { add(nullptr); }
  void boolean(bool value) override { add(value); }
  void negative_integer(int64_t value) override { add(value); }
  void unsigned_integer(uint64_t value) override { add(value); }
  void number(double value) override { add(value); }
  void string(std::string& value) override { add(std::move(value)); }
  void start_object() override { open_.push_back(add(nlohmann::json::object())); }
  void start_array() override { open_.push_back(add(nlohmann::json::array())); }
  void end_object() override { open_.pop_back(); }
  void end_array() override { open_.pop_back(); }
  void key(std::string& name) override {
    auto& members = open_.back()->get_ref<nlohmann::json::object_t&>();
    const auto [member, inserted] = members.try_emplace(name, nullptr);
    if (!inserted) fail(fmt::format("duplicate key \"{}\"", printable(name)));
    member_ = &member->second;
  }

  nlohmann::json take() { return std::move(root_); }

 private:
  nlohmann::json* add(nlohmann::json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_object()) {
      *member_ = std::move(value);
      return member_;
    }
    auto& elements = open_.back()->get_ref<nlohmann::json::array_t&>();
    return &elements.emplace_back(std::move(value));
  }

  nlohmann::json root_;
  std::vector<nlohmann::json*>
      open_;  // only the innermost grows, so the others stay where they are
  nlohmann::json* member_ = nullptr;
};

void check_size(uint64_t bytes, std::string_view file, const JsonLimits& limits) {
  if (bytes > limits.bytes) {
    throw bad_file(file, "",
                   fmt::format("expected at most {} bytes of JSON, got {}", limits.bytes, bytes));
  }
}

}  // namespace

void JsonEvents::fail(std::string_view reason) const {
  fail_json_at(text_, file_, *consumed_, reason);
}

void fail_json_at(std::string_view text, std::string_view file, uint64_t position,
                  std::string_view reason) {
  const std::string_view before = text.substr(0, position == 0 ? 0 : position - 1);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t newline = before.rfind('\n');
  const size_t column = before.size() - (newline == std::string_view::npos ? 0 : newline + 1) + 1;
  throw bad_file(file, fmt::format("{}:{}", line, column),
                 fmt::format("{} (byte {})", reason, before.size()));
}

void parse_json_events(std::string_view text, std::string_view file_name, const JsonLimits& limits,
                       JsonEvents& events) {
  check_size(text.size(), file_name, limits);
  if (text.empty()) throw bad_file(file_name, "1:1", "empty; expected JSON");
  if (const auto problem = download_problem(text)) throw bad_file(file_name, "1:1", *problem);
  // The lexer takes a NUL for the end of input and would ignore what follows.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    fail_json_at(text, file_name, nul + 1, "NUL byte");
  }
  if (!limits.allow_bom && text.starts_with("\xEF\xBB\xBF")) {
    fail_json_at(text, file_name, 1, "byte order mark");
  }
  uint64_t consumed = 0;
  events.attach(text, file_name, &consumed);
  SaxDriver driver(text, file_name, limits, &consumed, events);
  nlohmann::json::sax_parse(CountingIterator(text.data(), &consumed),
                            CountingIterator(text.data() + text.size(), &consumed), &driver);
}

nlohmann::json parse_json(std::string_view text, std::string_view file_name,
                          const JsonLimits& limits) {
  DocumentBuilder builder;
  parse_json_events(text, file_name, limits, builder);
  return builder.take();
}

nlohmann::json read_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  const File file = File::open_read(path);
  check_size(file.size(), path.native(), limits);
  return parse_json(file.read_text(), path.native(), limits);
}

}  // namespace octavo
