// Quantized checkpoints: the same bytes every time and from any number of threads.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/quantize.h"

#include <gtest/gtest.h>

#include <cmath>

#include "octavo/evaluate.h"
#include "pipeline/pipeline_case.h"

namespace octavo {
namespace {

std::map<std::string, std::string> quantized_with(int threads, const std::string& name) {
  SilentProgress silent;
  const QuantizeOptions options = quantize_options(name, threads);
  quantize(options, silent);
  return contents_of(options.output_dir);
}

TEST(Quantize, BytesAreTheSameEveryTimeAndFromAnyNumberOfThreads) {
  const auto expected = contents_of(quantized_dir());
  ASSERT_TRUE(expected.contains("model.safetensors"));
  for (const int threads : {1, 2, 4}) {
    const auto again = quantized_with(threads, "quantized" + std::to_string(threads));
    ASSERT_EQ(again.size(), expected.size());
    for (const auto& [name, content] : expected) {
      // Not EXPECT_EQ on the contents, which would print megabytes.
      EXPECT_TRUE(again.at(name) == content) << name << " with " << threads << " threads";
    }
  }
}

TEST(Quantize, PerplexityStaysFiniteAndClose) {
  const std::filesystem::path text = scratch_dir() / "text.txt";
  std::ofstream file(text);
  for (const nlohmann::json& entry : greedy_reference())
    file << entry["text"].get<std::string>() << "\n\n";
  file.close();
  const auto perplexity = [&](const std::filesystem::path& folder) {
    SilentProgress silent;
    return evaluate_perplexity(model_options(folder), {.dataset = text, .context = 64}, silent)
        .perplexity;
  };
  const double before = perplexity(kModelDir), after = perplexity(quantized_dir());
  EXPECT_TRUE(std::isfinite(before));
  EXPECT_GT(before, 1.0);
  // A few hundred tokens say little; the tight bound on a long text is tests/quality's.
  EXPECT_NEAR(std::log(after), std::log(before), 0.1);
}

}  // namespace
}  // namespace octavo
