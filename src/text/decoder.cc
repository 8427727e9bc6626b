// Reads the decoder of tokenizer.json into a list of steps.
// SPDX-License-Identifier: Apache-2.0
#include "text/decoder.h"

#include <limits>
#include <utility>

#include "text/decode_steps.h"
#include "text/pattern.h"

namespace octavo {
namespace {

template <typename Make>
class Factory : public DecodeStepFactory {
 public:
  explicit Factory(Make make) : make_(std::move(make)) {}
  std::unique_ptr<DecodeStep> start() const override { return make_(); }

 private:
  Make make_;
};

template <typename Make>
std::shared_ptr<const DecodeStepFactory> factory(Make make) {
  return std::make_shared<Factory<Make>>(std::move(make));
}

template <typename Step>
std::shared_ptr<const DecodeStepFactory> factory() {
  return factory([] { return std::make_unique<Step>(); });
}

std::shared_ptr<const DecodeStepFactory> read_replace(const JsonObject& object) {
  return factory([replacement = Replacement::read(object)] {
    return std::make_unique<ReplaceStep>(replacement);
  });
}

std::shared_ptr<const DecodeStepFactory> read_strip(const JsonObject& object, bool fused) {
  const JsonField content = object.required("content");
  const std::string& text = content.as_string();
  if (text.empty() || decode_code_point(text, 0).bytes != text.size()) {
    throw content.mismatch("one character");
  }
  const IntRange count{0, std::numeric_limits<int32_t>::max()};
  const StripOptions options{text, object.required_int("start", count),
                             object.required_int("stop", count), fused};
  return factory([options] { return std::make_unique<StripStep>(options); });
}

}  // namespace

Decoder Decoder::read(const JsonField& field) {
  Decoder decoder;
  bool fused = false;
  decoder.append(field, fused);
  return decoder;
}

void Decoder::append(const JsonField& field, bool& fused) {
  const JsonObject object = field.as_object();
  const std::string type = object.required_string("type");
  if (type == "Sequence") {
    for (const JsonField& step : object.required_array("decoders")) append(step, fused);
    return;
  }
  if (fused && type != "Strip" && type != "Fuse") {
    throw object.required("type").not_supported("Strip and Fuse behind Fuse or ByteLevel");
  }
  if (type == "ByteLevel") {
    steps_.push_back(factory<ByteLevelStep>());
    fused = true;
  } else if (type == "Fuse") {
    steps_.push_back(factory<FuseStep>());
    fused = true;
  } else if (type == "ByteFallback") {
    steps_.push_back(factory<ByteFallbackStep>());
  } else if (type == "Replace") {
    steps_.push_back(read_replace(object));
  } else if (type == "Strip") {
    steps_.push_back(read_strip(object, fused));
  } else if (type == "Metaspace") {
    steps_.push_back(factory(
        [options = read_metaspace(object)] { return std::make_unique<MetaspaceStep>(options); }));
  } else {
    throw object.required("type").not_supported(
        "ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, Sequence");
  }
}

Decoder Decoder::joined_by_spaces() {
  Decoder decoder;
  decoder.steps_.push_back(factory<JoinStep>());
  return decoder;
}

std::vector<std::unique_ptr<DecodeStep>> Decoder::start() const {
  std::vector<std::unique_ptr<DecodeStep>> steps;
  for (const auto& step : steps_) steps.push_back(step->start());
  return steps;
}

}  // namespace octavo
