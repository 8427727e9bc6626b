// Every kernel that a program runs, with start and end on the device's clock: a library that the
// driver loads into the program.
// SPDX-License-Identifier: Apache-2.0
//
// CUDA_INJECTION64_PATH=libkernel_trace.so KERNEL_TRACE=OUT program …: a line for each kernel,
// "start_ns end_ns stream graph_node name", in the order in which the device reports them.
#include <cupti.h>

#include <cstdio>
#include <cstdlib>

namespace {

constexpr size_t kBufferBytes = size_t{8} << 20;
std::FILE* out = nullptr;

void give_buffer(uint8_t** buffer, size_t* size, size_t* records) {
  *buffer = static_cast<uint8_t*>(std::aligned_alloc(8, kBufferBytes));
  *size = *buffer == nullptr ? 0 : kBufferBytes;
  *records = 0;
}

void take_buffer(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t bytes) {
  CUpti_Activity* record = nullptr;
  while (cuptiActivityGetNextRecord(buffer, bytes, &record) == CUPTI_SUCCESS) {
    const auto* kernel = reinterpret_cast<const CUpti_ActivityKernel10*>(record);
    if (record->kind != CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) continue;
    std::fprintf(out, "%llu %llu %u %llu %s\n", static_cast<unsigned long long>(kernel->start),
                 static_cast<unsigned long long>(kernel->end), kernel->streamId,
                 static_cast<unsigned long long>(kernel->graphNodeId), kernel->name);
  }
  std::free(buffer);
}

void finish() {
  cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  std::fclose(out);
}

}  // namespace

// Called by the driver when the program first uses it.
extern "C" __attribute__((visibility("default"))) int InitializeInjection() {
  const char* path = std::getenv("KERNEL_TRACE");
  out = std::fopen(path == nullptr ? "kernel_trace.txt" : path, "w");
  if (out == nullptr) return 0;
  if (cuptiActivityRegisterCallbacks(give_buffer, take_buffer) != CUPTI_SUCCESS ||
      cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) != CUPTI_SUCCESS)
    return 0;
  std::atexit(finish);
  return 1;
}
