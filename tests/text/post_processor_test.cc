// What stands before and behind a text.
// SPDX-License-Identifier: Apache-2.0
#include "text/post_processor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/text_testing.h"

namespace octavo {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

const json kText = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
json special(const std::string& name) { return {{"SpecialToken", {{"id", name}, {"type_id", 0}}}}; }
json make_template(const json& single) {
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", json::array()},
          {"special_tokens",
           {{"<s>", {{"id", "<s>"}, {"ids", {1}}, {"tokens", {"<s>"}}}},
            {"x", {{"id", "x"}, {"ids", {7, 8}}, {"tokens", {"x", "y"}}}}}}};
}
SpecialAffixes read(const json& processor) {
  const testing::Document document(processor);
  return read_post_processor(document.field);
}

TEST(PostProcessor, Templates) {
  const SpecialAffixes affixes = read(make_template({special("<s>"), kText, special("x")}));
  EXPECT_THAT(affixes.before, ElementsAre(1));
  EXPECT_THAT(affixes.behind, ElementsAre(7, 8));
}

TEST(PostProcessor, SequencesNest) {
  const json byte_level = {{"type", "ByteLevel"}};
  const SpecialAffixes affixes = read({{"type", "Sequence"},
                                       {"processors",
                                        {byte_level, make_template({special("<s>"), kText}),
                                         make_template({special("x"), kText, special("<s>")})}}});
  EXPECT_THAT(affixes.before, ElementsAre(7, 8, 1));
  EXPECT_THAT(affixes.behind, ElementsAre(1));
}

TEST(PostProcessor, Refusals) {
  for (const char* type : {"BertProcessing", "RobertaProcessing"}) {
    const auto error = testing::error_of([&] { read({{"type", type}}); });
    EXPECT_EQ(error->category(), ErrorCategory::kUnsupported);
    EXPECT_THAT(error->what(), ::testing::HasSubstr(type));
  }
  for (const json& single :
       {json::array(), json{special("<s>")}, json{special("unknown"), kText}, json{kText, kText},
        json{json{{"Sequence", {{"id", "B"}, {"type_id", 0}}}}}}) {
    EXPECT_EQ(testing::category_of([&] { read(make_template(single)); }), ErrorCategory::kBadFile)
        << single;
  }
}

}  // namespace
}  // namespace octavo
