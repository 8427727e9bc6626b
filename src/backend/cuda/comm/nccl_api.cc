// Loading of NCCL.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/comm/nccl_api.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "backend/cuda/comm/nccl_group.h"
#include "core/environment.h"
#include "core/error.h"

namespace octavo::cuda {
namespace {

constexpr const char* kLibrary = "libnccl.so.2";

template <typename Function>
void find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
  if (function != nullptr) return;
  throw Error(ErrorCategory::kEnvironment,
              fmt::format("{} has no {}: NCCL {} or later is needed", kLibrary, name,
                          nccl_version_text(kNcclLeastVersion)));
}

// Where the library is that a function of it is in.
std::string path_of(const void* function) {
  Dl_info info = {};
  return dladdr(function, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : kLibrary;
}

// It stays for the life of the process: NCCL has threads of its own.
NcclApi load() {
  turn_nccl_multicast_off();
  void* const library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw Error(ErrorCategory::kEnvironment,
                fmt::format("ranks in several processes need NCCL, which is not there: {}; install "
                            "it, or name its folder in LD_LIBRARY_PATH",
                            printable(dlerror(), 500)));
  }
  NcclApi api;
  int (*get_version)(int*) = nullptr;
  find(library, "ncclGetVersion", get_version);
  get_version(&api.version);
  if (api.version < kNcclLeastVersion) {
    throw Error(ErrorCategory::kEnvironment,
                fmt::format("{} is NCCL {}: {} or later is needed", kLibrary,
                            nccl_version_text(api.version), nccl_version_text(kNcclLeastVersion)));
  }
  api.path = path_of(reinterpret_cast<const void*>(get_version));
  find(library, "ncclGetUniqueId", api.get_unique_id);
  find(library, "ncclCommInitRankConfig", api.comm_init);
  find(library, "ncclCommAbort", api.comm_abort);
  find(library, "ncclCommGetAsyncError", api.comm_error);
  find(library, "ncclGetErrorString", api.error_name);
  find(library, "ncclGetLastError", api.last_error);
  find(library, "ncclGroupStart", api.group_start);
  find(library, "ncclGroupEnd", api.group_end);
  find(library, "ncclAllReduce", api.all_reduce);
  find(library, "ncclReduceScatter", api.reduce_scatter);
  find(library, "ncclReduce", api.reduce);
  find(library, "ncclAllGather", api.all_gather);
  find(library, "ncclBroadcast", api.broadcast);
  find(library, "ncclSend", api.send);
  find(library, "ncclRecv", api.recv);
  return api;
}

}  // namespace

std::string nccl_version_text(int version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

const NcclApi& nccl_api() {
  static const NcclApi api = load();
  return api;
}

}  // namespace octavo::cuda

namespace octavo {

NcclLibrary nccl_library() {
  try {
    const cuda::NcclApi& api = cuda::nccl_api();
    return {.found = true, .text = cuda::nccl_version_text(api.version) + ", " + api.path};
  } catch (const Error& error) {
    return {.found = false, .text = error.what()};
  }
}

}  // namespace octavo
