// The functions of NCCL that ranks in several processes need, found when they are asked for.
// SPDX-License-Identifier: Apache-2.0
//
// Declared from NCCL's public documentation: the program is built without NCCL and runs without it.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>

namespace octavo::cuda {

struct NcclId {
  char bytes[128];
};

struct NcclCommObject;
using NcclComm = NcclCommObject*;

// ncclResult_t, as far as it is told apart.
inline constexpr int kNcclSuccess = 0;
inline constexpr int kNcclInProgress = 7;

// ncclDataType_t and ncclRedOp_t.
inline constexpr int kNcclUint8 = 1;
inline constexpr int kNcclFloat32 = 7;
inline constexpr int kNcclBfloat16 = 9;
inline constexpr int kNcclSum = 0;

// ncclConfig_t as NCCL 2.14 has it; later versions take it by its version.
inline constexpr int kNcclLeastVersion = 21400;
struct NcclConfig {
  size_t size = sizeof(NcclConfig);
  unsigned magic = 0xCAFEBEEF;
  unsigned version = kNcclLeastVersion;
  int blocking = 0;  // calls that would wait return kNcclInProgress
};

struct NcclApi {
  std::string path;  // of the library
  int version = 0;   // 22103 for 2.21.3

  int (*get_unique_id)(NcclId*) = nullptr;
  int (*comm_init)(NcclComm*, int ranks, NcclId, int rank, NcclConfig*) = nullptr;
  int (*comm_abort)(NcclComm) = nullptr;
  int (*comm_error)(NcclComm, int* result) = nullptr;  // ncclCommGetAsyncError
  const char* (*error_name)(int) = nullptr;
  const char* (*last_error)(NcclComm) = nullptr;
  int (*group_start)() = nullptr;
  int (*group_end)() = nullptr;
  int (*all_reduce)(const void*, void*, size_t, int type, int op, NcclComm, cudaStream_t) = nullptr;
  int (*reduce_scatter)(const void*, void*, size_t received, int type, int op, NcclComm,
                        cudaStream_t) = nullptr;
  int (*reduce)(const void*, void*, size_t, int type, int op, int root, NcclComm,
                cudaStream_t) = nullptr;
  int (*all_gather)(const void*, void*, size_t sent, int type, NcclComm, cudaStream_t) = nullptr;
  int (*broadcast)(const void*, void*, size_t, int type, int root, NcclComm,
                   cudaStream_t) = nullptr;
  int (*send)(const void*, size_t, int type, int peer, NcclComm, cudaStream_t) = nullptr;
  int (*recv)(void*, size_t, int type, int peer, NcclComm, cudaStream_t) = nullptr;
};

// "2.21.3".
std::string nccl_version_text(int version);

// Of libnccl.so.2 where the dynamic linker finds it; loaded once, with NVLink multicast off. Throws
// Error(kEnvironment) saying what is missing.
const NcclApi& nccl_api();

}  // namespace octavo::cuda
