// Times oneDNN's matmul primitive.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/onednn_gemm.h"

#include <chrono>
#include <oneapi/dnnl/dnnl.hpp>
#include <random>

#include "numerics/bf16.h"

namespace octavo {
namespace {

using dnnl::memory;

void fill(const memory& destination) {
  std::mt19937 random(5);
  std::uniform_real_distribution<float> values(-1.0f, 1.0f);
  auto* data = static_cast<bf16*>(destination.get_data_handle());
  const size_t count = destination.get_desc().get_size() / sizeof(bf16);
  for (size_t i = 0; i < count; ++i) data[i] = to_bf16(values(random));
}

class Matmul : public OnednnGemm {
 public:
  Matmul(int64_t rows, int64_t out, int64_t in) : stream_(engine_) {
    const auto bf16_type = memory::data_type::bf16;
    const memory::desc x({rows, in}, bf16_type, memory::format_tag::ab);
    const memory::desc weight({in, out}, bf16_type, memory::format_tag::any);
    const memory::desc y({rows, out}, bf16_type, memory::format_tag::ab);
    const dnnl::matmul::primitive_desc description({x, weight, y}, engine_);
    x_ = memory(x, engine_);
    weight_ = memory(description.weights_desc(), engine_);
    y_ = memory(y, engine_);
    fill(x_);
    fill(weight_);
    matmul_ = dnnl::matmul(description);
  }

  double time() override {
    const auto begin = std::chrono::steady_clock::now();
    matmul_.execute(stream_, {{DNNL_ARG_SRC, x_}, {DNNL_ARG_WEIGHTS, weight_}, {DNNL_ARG_DST, y_}});
    stream_.wait();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    return seconds.count();
  }

 private:
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_;
  memory x_, weight_, y_;
  dnnl::matmul matmul_;
};

}  // namespace

std::string onednn_version() {
  const dnnl_version_t* version = dnnl::version();
  return std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
         std::to_string(version->patch);
}

std::unique_ptr<OnednnGemm> OnednnGemm::make(int64_t rows, int64_t out, int64_t in) {
  try {
    return std::make_unique<Matmul>(rows, out, in);
  } catch (const dnnl::error&) {
    return nullptr;
  }
}

}  // namespace octavo
