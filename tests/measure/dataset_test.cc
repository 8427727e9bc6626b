// Datasets: JSON lines with ids or prompts, malformed lines by number, round trips.
// SPDX-License-Identifier: Apache-2.0
#include "measure/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "io/test_support.h"
#include "measure/synthetic.h"

namespace octavo {
namespace {

// One id a byte.
std::vector<int32_t> bytes_as_ids(std::string_view text) { return {text.begin(), text.end()}; }

class DatasetTest : public testing::Test {
 protected:
  Dataset read(std::string_view bytes, DatasetOptions options = {}) {
    return read_dataset(directory.write("d.jsonl", bytes), options);
  }
  TemporaryDirectory directory;
};

TEST_F(DatasetTest, IdsAndPrompts) {
  const Dataset dataset = read(
      "\xef\xbb\xbf{\"task_id\":7,\"input_ids\":[3,1,2],\"output_tokens\":4}\r\n"
      "\r\n"
      "{\"task_id\":8,\"prompt\":\"AB\",\"output_tokens\":1}",
      {.tokenize = bytes_as_ids});
  EXPECT_EQ(dataset.format, "jsonl");
  ASSERT_EQ(dataset.requests.size(), 2u);
  EXPECT_EQ(dataset.requests[0].task_id, 7);
  EXPECT_THAT(dataset.requests[0].input_ids, testing::ElementsAre(3, 1, 2));
  EXPECT_EQ(dataset.requests[0].output_tokens, 4);
  EXPECT_EQ(dataset.requests[1].prompt, "AB");
  EXPECT_THAT(dataset.requests[1].input_ids, testing::ElementsAre(65, 66));
}

TEST_F(DatasetTest, AMissingTaskIdIsThePosition) {
  const Dataset dataset =
      read("{\"input_ids\":[1],\"output_tokens\":1}\n{\"input_ids\":[1],\"output_tokens\":1}\n");
  EXPECT_EQ(dataset.requests[1].task_id, 1);
}

TEST_F(DatasetTest, FewerAndMoreThanTheFileHolds) {
  const std::string bytes =
      "{\"input_ids\":[1],\"output_tokens\":1}\n{\"input_ids\":[2],\"output_tokens\":1}\n";
  EXPECT_EQ(read(bytes, {.num_requests = 1}).requests.size(), 1u);
  const Dataset dataset = read(bytes, {.num_requests = 5});
  ASSERT_EQ(dataset.requests.size(), 5u);
  EXPECT_THAT(dataset.requests[4].input_ids, testing::ElementsAre(1));
  EXPECT_EQ(dataset.requests[4].task_id, 4);
}

TEST_F(DatasetTest, MalformedLinesAreAllNamed) {
  const std::string good = "{\"input_ids\":[1],\"output_tokens\":1}\n";
  const Error error = error_of([&] { read(good + "x\n" + good + "{}\n"); });
  EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
  EXPECT_THAT(error.what(), testing::HasSubstr("line 2"));
  EXPECT_THAT(error.what(), testing::HasSubstr("2 malformed lines: 2, 4"));
}

struct BadRequest {
  const char* line;
  const char* said;
};

class BadRequestTest : public testing::TestWithParam<BadRequest> {};

TEST_P(BadRequestTest, IsRefusedWithItsField) {
  const TemporaryDirectory directory;
  const auto path = directory.write("d.jsonl", GetParam().line);
  const Error error =
      error_of([&] { read_dataset(path, {.vocab_size = 10, .tokenize = bytes_as_ids}); });
  EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
  EXPECT_THAT(error.what(), testing::HasSubstr("line 1"));
  EXPECT_THAT(error.what(), testing::HasSubstr(GetParam().said));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadRequestTest,
    testing::Values(BadRequest{"{\"input_ids\":[],\"output_tokens\":1}", "input_ids"},
                    BadRequest{"{\"input_ids\":3,\"output_tokens\":1}", "input_ids"},
                    BadRequest{"{\"input_ids\":[1,-1],\"output_tokens\":1}", "input_ids[1]"},
                    BadRequest{"{\"input_ids\":[10],\"output_tokens\":1}", "a token id below 10"},
                    BadRequest{"{\"input_ids\":[1.5],\"output_tokens\":1}", "input_ids[0]"},
                    BadRequest{"{\"input_ids\":[[1]],\"output_tokens\":1}", "input_ids[0]"},
                    BadRequest{"{\"input_ids\":[99999999999],\"output_tokens\":1}", "input_ids[0]"},
                    BadRequest{"{\"input_ids\":[1]}", "output_tokens"},
                    BadRequest{"{\"input_ids\":[1],\"output_tokens\":0}", "output_tokens"},
                    BadRequest{"{\"input_ids\":[1],\"output_tokens\":1e3}", "output_tokens"},
                    BadRequest{"{\"input_ids\":[1],\"output_tokens\":true}", "output_tokens"},
                    BadRequest{"{\"task_id\":\"a\",\"input_ids\":[1],\"output_tokens\":1}",
                               "task_id"},
                    BadRequest{"{\"output_tokens\":1}", "prompt"},
                    BadRequest{"{\"prompt\":\"\",\"output_tokens\":1}", "prompt"},
                    BadRequest{"{\"prompt\":[1],\"output_tokens\":1}", "prompt"}));

TEST_F(DatasetTest, NoRequests) {
  const Error error = error_of([&] { read("\n"); });
  EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
  EXPECT_THAT(error.what(), testing::HasSubstr("no samples"));
}

TEST_F(DatasetTest, TextWithoutATokenizerIsUnsupported) {
  const Error error = error_of([&] { read("{\"prompt\":\"a\",\"output_tokens\":1}"); });
  EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
}

TEST_F(DatasetTest, CompressedAndWideFiles) {
  EXPECT_EQ(error_of([&] { read("\x1f\x8b\x08"); }).category(), ErrorCategory::kUnsupported);
  EXPECT_EQ(error_of([&] { read(std::string("\xff\xfe{\0", 4)); }).category(),
            ErrorCategory::kBadFile);
}

TEST_F(DatasetTest, WrittenRequestsReadBack) {
  auto requests = synthetic_requests({.num_requests = 20,
                                      .input = NormalLengths{.mean = 30, .stdev = 10},
                                      .output = UniformLengths{.min = 1, .max = 9},
                                      .vocab_size = 5000,
                                      .seed = 3});
  requests.push_back({.task_id = 20, .prompt = "quote \" newline \n é", .output_tokens = 2});
  const auto path = directory / "out.jsonl";
  write_requests(path, requests);
  const Dataset dataset = read_dataset(path, {.tokenize = bytes_as_ids});
  ASSERT_EQ(dataset.requests.size(), requests.size());
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(dataset.requests[i].task_id, requests[i].task_id);
    EXPECT_EQ(dataset.requests[i].input_ids, requests[i].input_ids);
    EXPECT_EQ(dataset.requests[i].output_tokens, requests[i].output_tokens);
  }
  EXPECT_EQ(dataset.requests[20].prompt, requests[20].prompt);
}

TEST(CheckRequestLengths, NamesTheLongest) {
  const std::vector<BenchRequest> requests = {
      {.task_id = 3, .input_ids = {1, 2}, .output_tokens = 8},
      {.task_id = 4, .input_ids = {1}, .output_tokens = 10},
      {.task_id = 5, .input_ids = {1}, .output_tokens = 9}};
  EXPECT_NO_THROW(check_request_lengths(requests, 11));
  EXPECT_NO_THROW(check_request_lengths({}, 1));
  const Error error = error_of([&] { check_request_lengths(requests, 9); });
  EXPECT_EQ(error.category(), ErrorCategory::kUsage);
  EXPECT_THAT(error.what(), testing::HasSubstr("3 of 3 requests are longer than max_seq_len 9"));
  EXPECT_THAT(error.what(), testing::HasSubstr("request 4, has 1 input and 10 output tokens"));
}

TEST(ToJsonLine, HasTheFieldsOfTheFormat) {
  EXPECT_EQ(to_json_line({.task_id = 1, .input_ids = {5, 6}, .output_tokens = 7}),
            R"({"task_id":1,"input_ids":[5,6],"output_tokens":7})");
  EXPECT_EQ(to_json_line({.task_id = 2, .prompt = "a\"b", .output_tokens = 7}),
            R"({"task_id":2,"prompt":"a\"b","output_tokens":7})");
}

}  // namespace
}  // namespace octavo
