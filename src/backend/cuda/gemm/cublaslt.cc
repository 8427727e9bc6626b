// Matrix products through cuBLASLt.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/cublaslt.h"

#include <fmt/ranges.h>

#include <array>
#include <charconv>
#include <map>
#include <mutex>
#include <optional>
#include <tuple>

#include "core/error.h"

namespace octavo::cuda {
namespace {

constexpr int kAlgorithms = 8;

void check_lt(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const ErrorCategory category =
      status == CUBLAS_STATUS_ALLOC_FAILED ? ErrorCategory::kOutOfMemory : ErrorCategory::kDevice;
  throw Error(category, fmt::format("[cuda] {}: {}", call, cublasLtGetStatusName(status)));
}
#define OCTAVO_LT_CHECK(call) check_lt((call), #call)

cudaDataType_t lt_type(DType dtype) {
  switch (dtype) {
    case DType::kE4M3:
      return CUDA_R_8F_E4M3;
    case DType::kBF16:
      return CUDA_R_16BF;
    default:
      OCTAVO_CHECK(dtype == DType::kF32);
      return CUDA_R_32F;
  }
}

cublasLtMatrixLayout_t make_layout(DType dtype, int64_t rows, int64_t columns, int64_t stride) {
  cublasLtMatrixLayout_t layout = nullptr;
  OCTAVO_LT_CHECK(cublasLtMatrixLayoutCreate(&layout, lt_type(dtype), static_cast<uint64_t>(rows),
                                             static_cast<uint64_t>(columns), stride));
  return layout;
}

template <typename T>
void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute, T value) {
  OCTAVO_LT_CHECK(cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof(value)));
}

// One handle a device, kept for the life of the process: making one takes milliseconds.
cublasLtHandle_t handle_of(int device) {
  static std::map<int, cublasLtHandle_t> handles;
  cublasLtHandle_t& handle = handles[device];
  if (handle == nullptr) OCTAVO_LT_CHECK(cublasLtCreate(&handle));
  return handle;
}

// What identifies an algorithm, in the order in which a tactic lists it.
constexpr std::array kAlgorithmFields = {CUBLASLT_ALGO_CONFIG_ID,
                                         CUBLASLT_ALGO_CONFIG_TILE_ID,
                                         CUBLASLT_ALGO_CONFIG_STAGES_ID,
                                         CUBLASLT_ALGO_CONFIG_SPLITK_NUM,
                                         CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME,
                                         CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING,
                                         CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION,
                                         CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID,
                                         CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID};
using AlgorithmFields = std::array<uint32_t, kAlgorithmFields.size()>;

// The inner and cluster shapes are 16-bit attributes, the others 32-bit.
size_t bytes_of_field(size_t index) { return index < 7 ? sizeof(uint32_t) : sizeof(uint16_t); }

std::optional<AlgorithmFields> fields_from(std::string_view tactic) {
  AlgorithmFields fields = {};
  const char* at = tactic.data();
  const char* const end = at + tactic.size();
  for (size_t i = 0; i < fields.size(); ++i) {
    if (i > 0 && (at == end || *at++ != '.')) return std::nullopt;
    const auto [next, error] = std::from_chars(at, end, fields[i]);
    if (error != std::errc()) return std::nullopt;
    at = next;
  }
  return at == end ? std::optional(fields) : std::nullopt;
}

// Steps of every length have a plan of their own; those of a long run are not kept for ever.
constexpr size_t kMostPlans = 4096;

}  // namespace

std::shared_ptr<const LtPlan> LtPlan::find(const LtShape& shape, std::string_view tactic) {
  static std::mutex mutex;
  static std::map<std::tuple<int, LtShape, std::string>, std::shared_ptr<const LtPlan>> plans;
  int device = 0;
  OCTAVO_CUDA_CHECK(cudaGetDevice(&device));
  const std::lock_guard lock(mutex);
  if (plans.size() == kMostPlans) plans.clear();
  std::shared_ptr<const LtPlan>& plan = plans[{device, shape, std::string(tactic)}];
  if (plan == nullptr) plan = std::make_shared<const LtPlan>(shape, tactic);
  return plan->algorithms_.empty() ? nullptr : plan;
}

LtPlan::LtPlan(const LtShape& shape, std::string_view tactic)
    : scales_(shape.scales), bias_(shape.bias) {
  int device = 0;
  OCTAVO_CUDA_CHECK(cudaGetDevice(&device));
  handle_ = handle_of(device);
  describe_operation(shape);
  describe_matrices(shape);
  if (!tactic.empty()) prefer(tactic, shape);
  if (algorithms_.empty()) find_algorithms();
}

LtPlan::~LtPlan() {
  for (const cublasLtMatrixLayout_t layout : {weight_, x_, y_}) {
    if (layout != nullptr) cublasLtMatrixLayoutDestroy(layout);
  }
  if (operation_ != nullptr) cublasLtMatmulDescDestroy(operation_);
}

// The library's matrices are column-major: yᵀ[n, m] = weightᵀ[k, n]ᵀ · xᵀ[k, m].
void LtPlan::describe_operation(const LtShape& shape) {
  OCTAVO_LT_CHECK(cublasLtMatmulDescCreate(&operation_, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  set(operation_, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
  set(operation_, CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
  if (shape.operand == DType::kE4M3) set(operation_, CUBLASLT_MATMUL_DESC_FAST_ACCUM, int8_t{1});
  if (shape.scales == LtScales::kOuterVector) {
    const auto mode = static_cast<int32_t>(CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F);
    set(operation_, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, mode);
    set(operation_, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, mode);
  }
  if (shape.scales != LtScales::kNone) {
    // The heuristic looks whether there are scales and how they are aligned, not at them.
    const auto* present = reinterpret_cast<const float*>(uintptr_t{1} << 20);
    set(operation_, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, present);
    set(operation_, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, present);
  }
  if (shape.bias) {
    set(operation_, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(operation_, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, static_cast<int32_t>(lt_type(shape.y)));
  }
}

void LtPlan::describe_matrices(const LtShape& shape) {
  weight_ = make_layout(shape.operand, shape.k, shape.n, shape.weight_stride);
  x_ = make_layout(shape.operand, shape.k, shape.m, shape.x_stride);
  y_ = make_layout(shape.y, shape.n, shape.m, shape.y_stride);
}

void LtPlan::find_algorithms() {
  cublasLtMatmulPreference_t preference = nullptr;
  OCTAVO_LT_CHECK(cublasLtMatmulPreferenceCreate(&preference));
  const size_t bytes = kLtWorkspaceBytes;
  cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes,
                                       sizeof(bytes));
  cublasLtMatmulHeuristicResult_t results[kAlgorithms] = {};
  int found = 0;
  // A failure says that the shape is not supported; the plan then has no algorithm.
  if (cublasLtMatmulAlgoGetHeuristic(handle_, operation_, weight_, x_, y_, y_, preference,
                                     kAlgorithms, results, &found) != CUBLAS_STATUS_SUCCESS)
    found = 0;
  cublasLtMatmulPreferenceDestroy(preference);
  for (int i = 0; i < found; ++i) {
    if (results[i].state == CUBLAS_STATUS_SUCCESS) algorithms_.push_back(results[i].algo);
  }
}

std::vector<std::string> LtPlan::tactics() const {
  std::vector<std::string> tactics;
  for (const cublasLtMatmulAlgo_t& algorithm : algorithms_) {
    AlgorithmFields fields = {};
    for (size_t i = 0; i < fields.size(); ++i) {
      size_t written = 0;
      OCTAVO_LT_CHECK(cublasLtMatmulAlgoConfigGetAttribute(
          &algorithm, kAlgorithmFields[i], &fields[i], bytes_of_field(i), &written));
    }
    tactics.push_back(fmt::format("{}", fmt::join(fields, ".")));
  }
  return tactics;
}

// Leaves the plan without an algorithm where the library refuses this one for the shape.
void LtPlan::prefer(std::string_view tactic, const LtShape& shape) {
  const std::optional<AlgorithmFields> fields = fields_from(tactic);
  if (!fields) return;
  const cudaDataType_t operand = lt_type(shape.operand), y = lt_type(shape.y);
  cublasLtMatmulAlgo_t algorithm = {};
  if (cublasLtMatmulAlgoInit(handle_, CUBLAS_COMPUTE_32F, CUDA_R_32F, operand, operand, y, y,
                             static_cast<int>(fields->front()),
                             &algorithm) != CUBLAS_STATUS_SUCCESS)
    return;
  for (size_t i = 1; i < fields->size(); ++i) {
    if (cublasLtMatmulAlgoConfigSetAttribute(&algorithm, kAlgorithmFields[i], &(*fields)[i],
                                             bytes_of_field(i)) != CUBLAS_STATUS_SUCCESS)
      return;
  }
  cublasLtMatmulHeuristicResult_t result = {};
  const cublasStatus_t status =
      cublasLtMatmulAlgoCheck(handle_, operation_, weight_, x_, y_, y_, &algorithm, &result);
  if (status == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= kLtWorkspaceBytes)
    algorithms_.push_back(algorithm);
}

void LtPlan::run(const LtPointers& pointers, const LtWorkspace& workspace, cudaStream_t stream,
                 int algorithm) const {
  // The description holds pointers; a copy keeps concurrent calls apart.
  cublasLtMatmulDescOpaque_t copy = *operation_;
  cublasLtMatmulDesc_t operation = &copy;
  if (scales_ != LtScales::kNone) {
    set(operation, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, pointers.weight_scale);
    set(operation, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, pointers.x_scale);
  }
  if (bias_) set(operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, pointers.bias);
  const float one = 1.0f;
  const float zero = 0.0f;
  OCTAVO_LT_CHECK(cublasLtMatmul(handle_, operation, &one, pointers.weight, weight_, pointers.x, x_,
                                 &zero, pointers.y, y_, pointers.y, y_, &algorithms_[algorithm],
                                 workspace.data, workspace.bytes, stream));
}

}  // namespace octavo::cuda
