// Decoders of tokenizer.json, as streams: tokens in, text out as soon as it is final.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/json_object.h"

namespace octavo {

// The running state of one step over one sequence of tokens.
class DecodeStep {
 public:
  virtual ~DecodeStep() = default;
  // Takes a token and appends what it becomes; behind Fuse or ByteLevel a "token" is a fragment
  // of the one token that the whole text then is.
  virtual void push(std::string_view token, std::vector<std::string>& out) = 0;
  virtual void finish(std::vector<std::string>&) {}  // appends what was held back
};

// A step as the file describes it.
class DecodeStepFactory {
 public:
  virtual ~DecodeStepFactory() = default;
  virtual std::unique_ptr<DecodeStep> start() const = 0;
};

// Immutable and safe to share between threads.
class Decoder {
 public:
  // ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, Sequence; Error(kUnsupported) for
  // another type, and for a step behind Fuse or ByteLevel that would need the whole text.
  static Decoder read(const JsonField& field);
  // Without a decoder tokens are joined by spaces.
  static Decoder joined_by_spaces();

  std::vector<std::unique_ptr<DecodeStep>> start() const;

 private:
  void append(const JsonField& field, bool& fused);
  std::vector<std::shared_ptr<const DecodeStepFactory>> steps_;
};

}  // namespace octavo
