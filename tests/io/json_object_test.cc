// Typed field access: every wrong kind of value is refused by name.
// SPDX-License-Identifier: Apache-2.0
#include "io/json_object.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "io/json.h"
#include "io/test_support.h"

namespace octavo {
namespace {

struct WrongInt {
  const char *name, *text, *got;
};
class JsonObjectInt : public testing::TestWithParam<WrongInt> {};

TEST_P(JsonObjectInt, IsRefused) {
  const nlohmann::json document =
      parse_json(fmt::format("{{\"hidden_size\": {}}}", GetParam().text), "config.json");
  const JsonObject object(document, "config.json");
  const Error error = error_of([&] { object.required_int("hidden_size", kPositiveInt32); });
  EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
  EXPECT_EQ(std::string(error.what()),
            fmt::format("config.json: hidden_size: expected an integer in [1, 2147483647], got {}",
                        GetParam().got));
}

INSTANTIATE_TEST_SUITE_P(
    Table, JsonObjectInt,
    testing::Values(WrongInt{"String", "\"abc\"", "\"abc\""},
                    WrongInt{"NumberAsString", "\"16\"", "\"16\""},
                    WrongInt{"Fraction", "1.5", "1.5"}, WrongInt{"WholeFloat", "2.0", "2.0"},
                    WrongInt{"Exponent", "1e3", "1000.0"}, WrongInt{"True", "true", "true"},
                    WrongInt{"Null", "null", "null"}, WrongInt{"Zero", "0", "0"},
                    WrongInt{"MinusOne", "-1", "-1"},
                    WrongInt{"TwoTo31", "2147483648", "2147483648"},
                    WrongInt{"TwoTo63", "9223372036854775808", "9223372036854775808"},
                    WrongInt{"TwoTo64", "18446744073709551616", "1.8446744073709552e+19"},
                    WrongInt{"Array", "[1]", "an array"}, WrongInt{"Object", "{}", "an object"},
                    WrongInt{"HostileString", "\"\\u001b[31m\"", "\"\\x1b[31m\""}),
    [](const auto& info) { return info.param.name; });

class JsonObjectAccess : public testing::Test {
 protected:
  std::string message_of(const std::function<void()>& body) { return error_of(body).what(); }
  const nlohmann::json document_ =
      parse_json(R"({"layers": 16, "eps": 1e-5, "tie": false, "name": "llama", "none": null,
      "rope": {"factor": 8, "type": "llama3"}, "eos": [1, 2], "names": ["a", "b"], "mixed": [1, "x"]})",
                 "c.json");
  const JsonObject object_{document_, "c.json"};
};

TEST_F(JsonObjectAccess, ReadsEveryKind) {
  EXPECT_EQ(object_.required_int("layers"), 16);
  EXPECT_EQ(object_.required_float("eps", kPositiveFloat), 1e-5);
  EXPECT_EQ(object_.required_float("layers"), 16.0);
  EXPECT_FALSE(object_.required_bool("tie"));
  EXPECT_EQ(object_.required_string("name"), "llama");
  EXPECT_EQ(object_.required_object("rope").required_int("factor"), 8);
  EXPECT_EQ(object_.required("eos").as_ints(), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(object_.required("names").as_strings(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(object_.required_array("mixed")[1].as_string(), "x");
  EXPECT_EQ(object_.keys().size(), 9u);
}

TEST_F(JsonObjectAccess, NullAndMissingAreAbsent) {
  for (const char* key : {"none", "missing"}) {
    EXPECT_FALSE(object_.has(key));
    EXPECT_EQ(object_.optional_int(key), std::nullopt);
    EXPECT_EQ(object_.optional_float(key), std::nullopt);
    EXPECT_EQ(object_.optional_bool(key), std::nullopt);
    EXPECT_EQ(object_.optional_string(key), std::nullopt);
    EXPECT_FALSE(object_.optional_object(key).has_value());
    EXPECT_FALSE(object_.optional_array(key).has_value());
  }
}

TEST_F(JsonObjectAccess, NamesTheField) {
  EXPECT_EQ(message_of([&] { object_.required_int("heads", kPositiveInt32); }),
            "c.json: heads: missing; expected an integer in [1, 2147483647]");
  EXPECT_EQ(
      message_of([&] { object_.required_object("rope").required_float("low", kPositiveFloat); }),
      "c.json: rope.low: missing; expected a number in [1.17549e-38, 3.40282e+38]");
  EXPECT_EQ(message_of([&] { object_.required("mixed").as_ints(); }),
            "c.json: mixed[1]: expected an integer, got \"x\"");
  EXPECT_EQ(message_of([&] { object_.optional_bool("layers"); }),
            "c.json: layers: expected true or false, got 16");
  EXPECT_EQ(message_of([&] { object_.required_float("tie"); }),
            "c.json: tie: expected a number, got false");
  EXPECT_EQ(message_of([&] { object_.required_string("layers"); }),
            "c.json: layers: expected a string, got 16");
  EXPECT_EQ(message_of([&] { object_.required_object("eos"); }),
            "c.json: eos: expected an object, got an array");
  EXPECT_EQ(message_of([&] { object_.required_array("rope"); }),
            "c.json: rope: expected an array, got an object");
  const nlohmann::json list = nlohmann::json::array();
  EXPECT_EQ(message_of([&] { JsonObject(list, "c.json"); }),
            "c.json: expected an object, got an array");
}

TEST_F(JsonObjectAccess, RefusesByNameWhatIsUnsupported) {
  const Error error =
      object_.required_object("rope").required("type").not_supported("yarn, linear");
  EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
  EXPECT_STREQ(error.what(),
               "c.json: rope.type: \"llama3\" is not supported; supported: yarn, linear");
}

TEST(JsonObjectFloat, RefusesWhatIsNotAPositiveFloat) {
  for (const char* text : {"0", "-1.0", "1e-45", "1e300", "\"1\"", "true"}) {
    const nlohmann::json document = parse_json(fmt::format("{{\"eps\": {}}}", text), "c");
    EXPECT_THROW(JsonObject(document, "c").required_float("eps", kPositiveFloat), Error) << text;
  }
}

}  // namespace
}  // namespace octavo
