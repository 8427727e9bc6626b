// Matrix products through cuBLASLt: one plan a shape, its algorithms in the library's order.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cublasLt.h>

#include <compare>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backend/cuda/launch.h"
#include "core/dtype.h"

namespace octavo::cuda {

enum class LtScales : uint8_t {
  kNone,         // 16-bit or 32-bit operands
  kScalar,       // one for x, one for the weight
  kOuterVector,  // one a token, one a weight row
};

// y[m, n] = x[m, k] · weight[n, k]ᵀ.
struct LtShape {
  int64_t m, n, k;
  int64_t x_stride, weight_stride, y_stride;
  DType operand;  // of x and weight
  DType y;        // and of the bias
  bool bias;
  LtScales scales;
  auto operator<=>(const LtShape&) const = default;
};

struct LtPointers {
  const void* x;
  const void* weight;
  const float* x_scale;
  const float* weight_scale;
  const void* bias;
  void* y;
};

struct LtWorkspace {
  void* data = nullptr;
  size_t bytes = 0;
};
inline constexpr size_t kLtWorkspaceBytes = size_t{32} << 20;

class LtPlan {
 public:
  // The plan of a shape on the current device, made at its first use. Null where the library has no
  // algorithm for it. Thread-safe.
  // `tactic`: one of `tactics`, which then is the plan's first algorithm where it suits the shape.
  static std::shared_ptr<const LtPlan> find(const LtShape& shape, std::string_view tactic = {});

  // The algorithms as text, by which they are found again in another process.
  std::vector<std::string> tactics() const;

  int algorithms() const { return static_cast<int>(algorithms_.size()); }
  void run(const LtPointers& pointers, const LtWorkspace& workspace, cudaStream_t stream,
           int algorithm = 0) const;

  LtPlan(const LtShape& shape, std::string_view tactic);
  ~LtPlan();
  LtPlan(const LtPlan&) = delete;
  LtPlan& operator=(const LtPlan&) = delete;

 private:
  void describe_operation(const LtShape& shape);
  void describe_matrices(const LtShape& shape);
  void find_algorithms();
  void prefer(std::string_view tactic, const LtShape& shape);

  cublasLtHandle_t handle_ = nullptr;
  cublasLtMatmulDesc_t operation_ = nullptr;
  cublasLtMatrixLayout_t weight_ = nullptr, x_ = nullptr, y_ = nullptr;
  LtScales scales_;
  bool bias_;
  std::vector<cublasLtMatmulAlgo_t> algorithms_;
};

// Fills `to` with each weight row's segment scale, then with x's scale m times: the vectors of
// kOuterVector, both aligned to 16 bytes as n is a multiple of 4. The library demands that
// alignment of scalars too.
struct ScaleVectors {
  const float* input_scale;
  const float* weight_scale;
  float* to;  // [n + m]
  int m, n;
  int segments;
  int segment_end[8];
};
void launch_scale_vectors(const ScaleVectors& vectors, const Launch& where);

}  // namespace octavo::cuda
