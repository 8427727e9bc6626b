// Engine directories, good and bad.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/engine_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "builder/engine_writer.h"
#include "io/json.h"
#include "io/test_support.h"
#include "runtime/tiny_runner.h"

namespace octavo {
namespace {

using testing::HasSubstr;

class EngineLoaderTest : public testing::Test {
 protected:
  EngineLoaderTest() { write("engine", tiny_limits()); }

  void write(std::string_view name, const BuildConfig& limits) {
    ModelDir model = tiny_model(fp8_with_kv_cache());
    model.path = folder_.write("model/tokenizer.json", "{}").parent_path();
    write_engine(model, make_blueprints(model, limits, cpu_registry()), folder_ / name, {});
  }

  Error load_error() {
    return error_of([&] { load_engine(engine(), pool_); });
  }

  std::filesystem::path engine() const { return folder_ / "engine"; }
  std::filesystem::path rank_file() const { return engine() / "rank0.engine"; }

  // config.json with one value replaced.
  void edit(const char* pointer, const nlohmann::json& value) {
    nlohmann::json json = read_json_file(engine() / "config.json");
    json[nlohmann::json::json_pointer(pointer)] = value;
    folder_.write("engine/config.json", json.dump());
  }

  TemporaryDirectory folder_;
  ThreadPool pool_{2};
  HostDevice device_{pool_};
};

TEST_F(EngineLoaderTest, RoundTrip) {
  ASSERT_TRUE(is_engine_dir(engine()));
  EXPECT_FALSE(is_engine_dir(folder_ / "model"));
  const std::shared_ptr<EngineImage> loaded = load_engine(engine(), pool_);
  const std::shared_ptr<EngineImage> built = tiny_image(fp8_with_kv_cache());
  EXPECT_EQ(to_json(loaded->config), to_json(built->config));
  ASSERT_EQ(loaded->plans.size(), 1u);
  EXPECT_EQ(to_json(loaded->plans[0]), to_json(built->plans[0]));
  Runner a(loaded, cpu_registry(), device_, {}), b(built, cpu_registry(), device_, {});
  EXPECT_EQ(logits_of(a, tiny_ids(11)), logits_of(b, tiny_ids(11)));
}

TEST_F(EngineLoaderTest, PlansAloneAreThoseOfTheWhole) {
  const std::vector<Plan> plans = read_engine_plans(engine());
  ASSERT_EQ(plans.size(), 1u);
  EXPECT_EQ(to_json(plans[0]), to_json(load_engine(engine(), pool_)->plans[0]));
}

TEST_F(EngineLoaderTest, MissingAndLeftOverFiles) {
  std::filesystem::copy_file(rank_file(), engine() / "rank1.engine");
  EXPECT_THAT(load_error().what(), HasSubstr("rank1.engine: config.json lists 1 rank file(s)"));
  std::filesystem::remove(engine() / "rank1.engine");
  std::filesystem::remove(rank_file());
  EXPECT_FALSE(is_engine_dir(engine()));
  EXPECT_THAT(load_error().what(), HasSubstr("rank0.engine: expected a rank file, got none"));
  std::filesystem::remove(engine() / "config.json");
  EXPECT_NE(load_error().category(), ErrorCategory::kInternal);
}

TEST_F(EngineLoaderTest, FilesOfTwoBuildsAreNotMixed) {
  BuildConfig others = tiny_limits();
  others.max_batch_size = 3;
  write("other", others);
  std::filesystem::copy_file(folder_ / "other/rank0.engine", rank_file(),
                             std::filesystem::copy_options::overwrite_existing);
  const Error error = load_error();
  EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
  EXPECT_THAT(error.what(), HasSubstr("files of two builds are mixed"));
}

// The same limits for two tensor parallel ranks of two stages.
BuildConfig four_ranks() {
  BuildConfig limits = tiny_limits();
  limits.tp_size = limits.pp_size = 2;
  return limits;
}

TEST_F(EngineLoaderTest, RanksHaveAFileEach) {
  write("four", four_ranks());
  const auto expected =
      make_blueprints(tiny_model(fp8_with_kv_cache()), four_ranks(), cpu_registry());
  EXPECT_EQ(read_engine_manifest(folder_ / "four").ranks, 4);
  for (int64_t rank = 0; rank < 4; ++rank) {
    const auto image = load_engine(folder_ / "four", pool_, rank);
    const Blueprint& built = expected[static_cast<size_t>(rank)];
    EXPECT_EQ(image->rank, rank);
    EXPECT_EQ(to_json(image->plans[0]), to_json(built.plans[0]));
    EXPECT_EQ(to_json(read_engine_plans(folder_ / "four", rank)[0]), to_json(built.plans[0]));
    EXPECT_EQ(image->weights.size(), built.weights.size());
  }
}

TEST_F(EngineLoaderTest, RankFilesThatAreMissingSurplusSwappedOrOfAnotherBuildAreRefusedByName) {
  const std::filesystem::path four = folder_ / "four";
  write("four", four_ranks());
  BuildConfig others = four_ranks();
  others.max_batch_size = 3;
  write("others", others);
  const auto refused = [&](int64_t rank) {
    return std::string(error_of([&] { load_engine(four, pool_, rank); }).what());
  };
  const auto replace = std::filesystem::copy_options::overwrite_existing;
  std::filesystem::rename(four / "rank2.engine", folder_ / "kept");
  EXPECT_THAT(refused(0), HasSubstr("rank2.engine: expected a rank file, got none"));
  std::filesystem::copy_file(folder_ / "others/rank2.engine", four / "rank2.engine");
  EXPECT_THAT(refused(2), HasSubstr("files of two builds are mixed"));
  std::filesystem::copy_file(four / "rank3.engine", four / "rank2.engine", replace);
  EXPECT_THAT(refused(2), HasSubstr("rank2.engine: rank: expected 2, got 3"));
  std::filesystem::copy_file(folder_ / "kept", four / "rank2.engine", replace);
  EXPECT_NO_THROW(load_engine(four, pool_, 2));
  std::filesystem::copy_file(folder_ / "kept", four / "rank4.engine");
  EXPECT_THAT(refused(0), HasSubstr("rank4.engine: config.json lists 4 rank file(s)"));
}

TEST_F(EngineLoaderTest, TheNumberOfRanksIsThatOfTheConfig) {
  edit("/octavo_engine/ranks", 2);
  EXPECT_THAT(load_error().what(), HasSubstr("octavo_engine.ranks: expected tp_size × pp_size, 1"));
}

TEST_F(EngineLoaderTest, AFlippedBitIsFound) {
  const std::string whole = read_bytes(rank_file());
  // Every part of the file: prefix, header, payload, checksums.
  for (size_t at = 0; at < whole.size(); at += whole.size() / 97 + 1) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    folder_.write("engine/rank0.engine", flipped);
    const Error error = load_error();
    EXPECT_TRUE(error.category() == ErrorCategory::kBadFile ||
                error.category() == ErrorCategory::kUnsupported)
        << at << ": " << error.what();
  }
}

TEST_F(EngineLoaderTest, TruncatedExtendedAndEmpty) {
  const std::string whole = read_bytes(rank_file());
  for (const std::string& bad : {whole.substr(0, whole.size() - 1), whole.substr(0, 1000),
                                 whole.substr(0, 31), std::string(), whole + '\0'}) {
    folder_.write("engine/rank0.engine", bad);
    EXPECT_EQ(load_error().category(), ErrorCategory::kBadFile) << bad.size();
  }
}

TEST_F(EngineLoaderTest, OtherFormatVersionsNameBoth) {
  for (const int version : {0, 2}) {
    edit("/octavo_engine/format_version", version);
    const Error error = load_error();
    EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr(fmt::format("reads version 1, got {}", version)));
  }
}

TEST_F(EngineLoaderTest, EditedManifests) {
  const std::string whole = read_bytes(engine() / "config.json");
  const std::pair<const char*, nlohmann::json> edits[] = {
      {"/octavo_engine/build_id", "0000000000000000"},
      {"/octavo_engine/build_id", "../../etc/passwd"},
      {"/octavo_engine/ranks", -1},
      {"/octavo_engine", 7},
      {"/engine", nullptr},
      {"/engine/vocab_size", -5},
      {"/engine/vocab_size", "61"},
      {"/engine/max_batch_size", 1e300},
      {"/engine/tokens_per_block", 0},
      {"/engine/head_dim", 1 << 30},
      {"/engine/eos_token_ids", nlohmann::json::array({61})},
      {"/engine/dtype", 16}};
  for (const auto& [pointer, value] : edits) {
    edit(pointer, value);
    EXPECT_EQ(load_error().category(), ErrorCategory::kBadFile) << pointer << " = " << value;
    folder_.write("engine/config.json", whole);
  }
  folder_.write("engine/config.json", whole.substr(0, whole.size() / 2));
  EXPECT_EQ(load_error().category(), ErrorCategory::kBadFile);
}

TEST_F(EngineLoaderTest, ManifestsThatDoNotFitThePlansDoNotRun) {
  for (const char* pointer :
       {"/engine/tokens_per_block", "/engine/vocab_size", "/engine/head_dim"}) {
    const nlohmann::json whole = read_json_file(engine() / "config.json");
    const int64_t value = whole[nlohmann::json::json_pointer(pointer)];
    edit(pointer, value * 2);
    EXPECT_THROW(Runner(load_engine(engine(), pool_), cpu_registry(), device_, {}), Error)
        << pointer;
    edit(pointer, value);
  }
}

}  // namespace
}  // namespace octavo
