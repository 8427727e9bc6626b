// The CUDA runtime of the emulated device, as far as Octavo calls it.
// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime_api.h>

#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "machine.h"
#include "stream.h"
#include "tensor_copy.h"

namespace {

using octavo::emulator::enqueue;
using octavo::emulator::Stream;
using octavo::emulator::stream_of;
using octavo::emulator::Work;

constexpr int kDevices = 1;
constexpr size_t kMemoryBytes = size_t{4} << 30;

thread_local int current_device = 0;

struct Memory {
  std::mutex mutex;
  std::map<void*, size_t> blocks;
  size_t used = 0;
};
Memory& memory() {
  static Memory all;
  return all;
}

struct Streams {
  std::mutex mutex;
  std::set<Stream*> all;
};
Streams& streams() {
  static Streams known;
  return known;
}

cudaError_t allocate(void** pointer, size_t bytes) {
  constexpr size_t kAlignment = 512;
  const std::lock_guard lock(memory().mutex);
  if (bytes > kMemoryBytes - memory().used) return cudaErrorMemoryAllocation;
  *pointer = std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment);
  if (*pointer == nullptr) return cudaErrorMemoryAllocation;
  std::memset(*pointer, 0xFF, bytes);
  memory().blocks[*pointer] = bytes;
  memory().used += bytes;
  return cudaSuccess;
}

// Gone when all streams have done what they were asked for before, as the runtime, which waits for
// them, has it. Nobody waits here: threads that share the device may wait for each other.
cudaError_t release(void* pointer) {
  if (pointer == nullptr) return cudaSuccess;
  {
    const std::lock_guard lock(memory().mutex);
    const auto found = memory().blocks.find(pointer);
    if (found == memory().blocks.end()) return cudaErrorInvalidValue;
    memory().used -= found->second;
    memory().blocks.erase(found);
  }
  const std::shared_ptr<void> last(pointer, std::free);
  const std::lock_guard lock(streams().mutex);
  for (Stream* stream : streams().all) stream->keep(last);
  stream_of(nullptr).keep(last);
  return cudaSuccess;
}

// Whether the device may read it later: what is not its own is staged before a copy returns.
bool is_own(const void* pointer) {
  const std::lock_guard lock(memory().mutex);
  auto after = memory().blocks.upper_bound(const_cast<void*>(pointer));
  if (after == memory().blocks.begin()) return false;
  --after;
  return static_cast<const char*>(pointer) < static_cast<char*>(after->first) + after->second;
}

cudaError_t synchronize_all() {
  cudaError_t error = stream_of(nullptr).synchronize();
  const std::lock_guard lock(streams().mutex);
  for (Stream* stream : streams().all) {
    const cudaError_t status = stream->synchronize();
    if (error == cudaSuccess) error = status;
  }
  return error;
}

// Points in streams' work that others wait for.
struct Event {
  std::mutex mutex;
  std::condition_variable changed;
  int recorded = 0, reached = 0;

  void wait_for(int point) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return reached >= point; });
  }
};
Event& event_of(cudaEvent_t event) { return *reinterpret_cast<Event*>(event); }

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = kDevices;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = current_device;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= kDevices) return cudaErrorInvalidDevice;
  current_device = device;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = octavo::emulator::kMultiprocessors;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = 9;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = octavo::emulator::kSharedBytes;
      break;
    default:
      *value = 0;
  }
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {};
  std::strcpy(properties->name, "Emulated GPU");
  properties->major = 9;
  properties->multiProcessorCount = octavo::emulator::kMultiprocessors;
  properties->totalGlobalMem = kMemoryBytes;
  properties->l2CacheSize = 1 << 16;
  properties->sharedMemPerBlockOptin = octavo::emulator::kSharedBytes;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() { return synchronize_all(); }
cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 0;
  return cudaSuccess;
}
cudaError_t cudaDeviceEnablePeerAccess(int, unsigned) { return cudaErrorInvalidDevice; }
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaPeekAtLastError() { return cudaSuccess; }
const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    default:
      return "cudaErrorUnknown";
  }
}
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorLaunchFailure:
      return "unspecified launch failure";
    default:
      return "unknown error";
  }
}

cudaError_t cudaMalloc(void** pointer, size_t bytes) { return allocate(pointer, bytes); }
cudaError_t cudaFree(void* pointer) { return release(pointer); }
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) {
  return allocate(pointer, bytes);
}
cudaError_t cudaMallocHost(void** pointer, size_t bytes) { return allocate(pointer, bytes); }
cudaError_t cudaFreeHost(void* pointer) { return release(pointer); }
cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) {
  *device = host;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const std::lock_guard lock(memory().mutex);
  *free = kMemoryBytes - memory().used;
  *total = kMemoryBytes;
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) {
  const cudaError_t error = stream_of(nullptr).synchronize();
  std::memmove(to, from, bytes);
  return error;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
  if (is_own(from)) {
    enqueue(stream, [=] { std::memmove(to, from, bytes); });
  } else {
    const auto* const first = static_cast<const std::byte*>(from);
    enqueue(stream, [to, staged = std::vector<std::byte>(first, first + bytes)] {
      std::memcpy(to, staged.data(), staged.size());
    });
  }
  return is_own(to) ? cudaSuccess : stream_of(stream).synchronize();
}
cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch,
                         size_t width, size_t height, cudaMemcpyKind) {
  const cudaError_t error = stream_of(nullptr).synchronize();
  for (size_t row = 0; row < height; ++row)
    std::memcpy(static_cast<char*>(to) + row * to_pitch,
                static_cast<const char*>(from) + row * from_pitch, width);
  return error;
}
cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  const cudaError_t error = stream_of(nullptr).synchronize();
  std::memset(to, value, bytes);
  return error;
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  enqueue(stream, [=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  auto* const created = new Stream;
  const std::lock_guard lock(streams().mutex);
  streams().all.insert(created);
  *stream = reinterpret_cast<cudaStream_t>(created);
  return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, 0); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  {
    const std::lock_guard lock(streams().mutex);
    streams().all.erase(&stream_of(stream));
  }
  delete &stream_of(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return stream_of(stream).synchronize(); }
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  Event& awaited = event_of(event);
  enqueue(stream, [&awaited, point = awaited.recorded] { awaited.wait_for(point); });
  return cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  enqueue(stream, [=] { function(data); });
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  *status =
      stream_of(stream).is_captured() ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  stream_of(stream).begin_capture();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = reinterpret_cast<cudaGraph_t>(stream_of(stream).end_capture().release());
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  *executable = reinterpret_cast<cudaGraphExec_t>(new Work(*reinterpret_cast<const Work*>(graph)));
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  for (const auto& work : *reinterpret_cast<const Work*>(executable)) enqueue(stream, work);
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete reinterpret_cast<Work*>(graph);
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete reinterpret_cast<Work*>(executable);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = reinterpret_cast<cudaEvent_t>(new Event);
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete &event_of(event);
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  Event& recorded = event_of(event);
  enqueue(stream, [&recorded, point = ++recorded.recorded] {
    const std::lock_guard lock(recorded.mutex);
    recorded.reached = point;
    recorded.changed.notify_all();
  });
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  event_of(event).wait_for(event_of(event).recorded);
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  Event& asked = event_of(event);
  const std::lock_guard lock(asked.mutex);
  return asked.reached >= asked.recorded ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) { return cudaSuccess; }
cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
  const bool known = std::strcmp(symbol, "cuTensorMapEncodeTiled") == 0;
  *function = known ? reinterpret_cast<void*>(octavo::emulator::encode_tensor_map) : nullptr;
  *found = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

}  // extern "C"
