// cuBLASLt on the emulated device: one plain algorithm for y = x · weightᵀ.
// SPDX-License-Identifier: Apache-2.0
#include <cublasLt.h>

#include <cstring>

#include "numerics/bf16.h"
#include "numerics/e4m3.h"
#include "stream.h"

namespace {

struct Operation {
  const float* a_scale = nullptr;
  const float* b_scale = nullptr;
  const void* bias = nullptr;
  int32_t scale_mode = 0;
  int32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  int32_t bias_type = CUDA_R_16BF;
};
static_assert(sizeof(Operation) <= sizeof(cublasLtMatmulDescOpaque_t));

struct Layout {
  int32_t type;
  int64_t rows, columns, stride;
};
static_assert(sizeof(Layout) <= sizeof(cublasLtMatrixLayoutOpaque_t));

template <typename T, typename Opaque>
T read(const Opaque* opaque) {
  T value;
  std::memcpy(static_cast<void*>(&value), opaque, sizeof(T));
  return value;
}

float element(int32_t type, const void* data, int64_t index) {
  switch (type) {
    case CUDA_R_8F_E4M3:
      return octavo::to_float(static_cast<const octavo::e4m3*>(data)[index]);
    case CUDA_R_16BF:
      return octavo::to_float(static_cast<const octavo::bf16*>(data)[index]);
    default:
      return static_cast<const float*>(data)[index];
  }
}

void set_element(int32_t type, void* data, int64_t index, float value) {
  if (type == CUDA_R_16BF) {
    static_cast<octavo::bf16*>(data)[index] = octavo::to_bf16(value);
  } else {
    static_cast<float*>(data)[index] = value;
  }
}

struct Product {
  Operation operation;
  Layout a, b, d;
  const void* weight;
  const void* x;
  void* y;

  float scale_at(const float* scale, int64_t index) const {
    const bool vector = operation.scale_mode == CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
    return scale == nullptr ? 1.0f : scale[vector ? index : 0];
  }

  void run() const {
    for (int64_t row = 0; row < b.columns; ++row) {
      for (int64_t column = 0; column < a.columns; ++column) {
        float sum = 0;
        for (int64_t k = 0; k < a.rows; ++k)
          sum += element(a.type, weight, column * a.stride + k) *
                 element(b.type, x, row * b.stride + k);
        sum *= scale_at(operation.a_scale, column) * scale_at(operation.b_scale, row);
        if (operation.epilogue == CUBLASLT_EPILOGUE_BIAS)
          sum += element(operation.bias_type, operation.bias, column);
        set_element(d.type, y, row * d.stride + column, sum);
      }
    }
  }
};

}  // namespace

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  static int any = 0;
  *handle = reinterpret_cast<cublasLtHandle_t>(&any);
  return CUBLAS_STATUS_SUCCESS;
}
const char* cublasLtGetStatusName(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "CUBLAS_STATUS_SUCCESS" : "CUBLAS_STATUS_NOT_SUPPORTED";
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description, cublasComputeType_t,
                                        cudaDataType_t) {
  *description = new cublasLtMatmulDescOpaque_t{};
  const Operation operation;
  std::memcpy(*description, &operation, sizeof(operation));
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) {
  delete description;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  auto operation = read<Operation>(description);
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_A_SCALE_POINTER:
      std::memcpy(&operation.a_scale, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_B_SCALE_POINTER:
      std::memcpy(&operation.b_scale, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      std::memcpy(&operation.bias, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_A_SCALE_MODE:
      std::memcpy(&operation.scale_mode, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      std::memcpy(&operation.epilogue, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
      std::memcpy(&operation.bias_type, value, bytes);
      break;
    default:
      break;
  }
  std::memcpy(description, &operation, sizeof(operation));
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t stride) {
  *layout = new cublasLtMatrixLayoutOpaque_t{};
  const Layout description = {type, static_cast<int64_t>(rows), static_cast<int64_t>(columns),
                              stride};
  std::memcpy(*layout, &description, sizeof(description));
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new cublasLtMatmulPreferenceOpaque_t{};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t,
                                                    const void*, size_t) {
  return CUBLAS_STATUS_SUCCESS;
}

// FP8 wants rows and columns in sixteens, as the library does.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t, int,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* found) {
  const auto weight = read<Layout>(a);
  if (weight.type == CUDA_R_8F_E4M3 && (weight.rows % 16 != 0 || weight.columns % 16 != 0))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  results[0] = {};
  results[0].state = CUBLAS_STATUS_SUCCESS;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoInit(cublasLtHandle_t, cublasComputeType_t, cudaDataType_t,
                                      cudaDataType_t, cudaDataType_t, cudaDataType_t,
                                      cudaDataType_t, int, cublasLtMatmulAlgo_t* algorithm) {
  *algorithm = {};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t*,
                                                    cublasLtMatmulAlgoConfigAttributes_t,
                                                    void* value, size_t bytes, size_t* written) {
  std::memset(value, 0, bytes);
  *written = bytes;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoConfigSetAttribute(cublasLtMatmulAlgo_t*,
                                                    cublasLtMatmulAlgoConfigAttributes_t,
                                                    const void* value, size_t bytes) {
  const char* const first = static_cast<const char*>(value);
  for (size_t i = 0; i < bytes; ++i) {
    if (first[i] != 0) return CUBLAS_STATUS_INVALID_VALUE;  // it has one configuration
  }
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t,
                                       cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                       cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                       const cublasLtMatmulAlgo_t*,
                                       cublasLtMatmulHeuristicResult_t* result) {
  *result = {};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t description, const void*,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void*, const void*,
                              cublasLtMatrixLayout_t, void* d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t*, void*, size_t, cudaStream_t stream) {
  const Product product = {.operation = read<Operation>(description),
                           .a = read<Layout>(a_layout),
                           .b = read<Layout>(b_layout),
                           .d = read<Layout>(d_layout),
                           .weight = a,
                           .x = b,
                           .y = d};
  octavo::emulator::enqueue(stream, [product] { product.run(); });
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
