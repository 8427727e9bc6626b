// Prints a checkpoint's tensor as the program reads it: float32, code × scale for an FP8 weight.
// SPDX-License-Identifier: Apache-2.0
//
// usage: decode_tool DIRECTORY TENSOR > values.f32
#include <cstdio>

#include "builder/apply_quantization.h"
#include "model/checkpoint_weights.h"
#include "octavo/error.h"

namespace octavo {
namespace {

Tensor decode(const WeightSource& weights, const std::string& name) {
  const Tensor stored = read_tensor(weights, name);
  Tensor values(DType::kF32, stored.shape());
  const int64_t count = stored.shape().elements();
  convert(stored.data(), stored.dtype(), values.data(), DType::kF32, count);
  if (stored.dtype() == DType::kE4M3) {
    const std::string module = name.substr(0, name.rfind('.'));
    const float scale = read_scale(weights, weight_scale_name(module));
    for (int64_t i = 0; i < count; ++i) values.as<float>()[i] *= scale;
  }
  return values;
}

}  // namespace
}  // namespace octavo

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: decode_tool DIRECTORY TENSOR > values.f32\n", stderr);
    return 2;
  }
  try {
    const octavo::CheckpointWeights weights(argv[1]);
    const octavo::Tensor values = octavo::decode(weights, argv[2]);
    const auto bytes = static_cast<size_t>(values.bytes());
    return std::fwrite(values.data(), 1, bytes, stdout) == bytes && std::fflush(stdout) == 0 ? 0
                                                                                             : 5;
  } catch (const octavo::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return octavo::exit_code(error.category());
  }
}
