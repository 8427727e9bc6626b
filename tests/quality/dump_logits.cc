// Writes a model's logits as raw float32, for comparison with other programs.
// SPDX-License-Identifier: Apache-2.0
//
// dump_logits MODEL_DIR DTYPE OUTPUT TOKEN…: a row of the vocabulary a token, on the CPU.
#include <fstream>
#include <iostream>

#include "api/scoring_model.h"

namespace octavo {
namespace {

void run(const std::string& model_dir, const std::string& dtype, const std::string& output,
         const std::vector<int32_t>& ids) {
  ModelOptions options{.model_dir = model_dir};
  options.build_config.device = "cpu";
  options.build_config.dtype = dtype;
  options.build_config.max_batch_size = 1;
  ThreadPool pool;
  SilentProgress silent;
  ScoringModel model(load_model(options, pool, silent), std::ssize(ids));
  std::ofstream file(output, std::ios::binary);
  model.runner().visit_logits(ids, [&](int64_t, std::span<const float> logits) {
    file.write(reinterpret_cast<const char*>(logits.data()),
               static_cast<std::streamsize>(logits.size_bytes()));
  });
}

}  // namespace
}  // namespace octavo

int main(int argc, char** argv) {
  if (argc < 5) {
    std::cerr << "usage: dump_logits MODEL_DIR DTYPE OUTPUT TOKEN...\n";
    return 2;
  }
  try {
    std::vector<int32_t> ids;
    for (int i = 4; i < argc; ++i) ids.push_back(std::stoi(argv[i]));
    octavo::run(argv[1], argv[2], argv[3], ids);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
