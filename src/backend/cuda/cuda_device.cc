// Memory, transfers, events and graphs through the CUDA runtime.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/cuda_device.h"

#include <cuda_runtime_api.h>

#include "backend/cuda/cuda_check.h"
#include "backend/cuda/gather_ranges.h"
#include "core/error.h"

namespace octavo {
namespace {

double attribute(cudaDeviceAttr name, int index) {
  int value = 0;
  OCTAVO_CUDA_CHECK(cudaDeviceGetAttribute(&value, name, index));
  return value;
}

// Operations on E4M3 of one multiprocessor in a cycle, dense; 0 where they are not known.
double fp8_rate(int compute_capability) {
  switch (compute_capability) {
    case 89:
      return 2048;
    case 90:
      return 8192;
    case 100:
      return 16384;
    default:
      return 0;
  }
}

DeviceProperties properties_of(int index) {
  cudaDeviceProp found = {};
  OCTAVO_CUDA_CHECK(cudaGetDeviceProperties(&found, index));
  DeviceProperties properties = {.type = DeviceType::kCuda,
                                 .name = found.name,
                                 .compute_capability = 10 * found.major + found.minor,
                                 .multiprocessors = found.multiProcessorCount,
                                 .memory_bytes = static_cast<int64_t>(found.totalGlobalMem),
                                 .l2_bytes = found.l2CacheSize,
                                 .runtime_version = CUDART_VERSION};
  constexpr double kHertz = 1e3;    // the runtime gives clocks in kHz
  constexpr double kTransfers = 2;  // of the memory, in a cycle
  properties.bytes_per_s = kTransfers * kHertz * attribute(cudaDevAttrMemoryClockRate, index) *
                           attribute(cudaDevAttrGlobalMemoryBusWidth, index) / 8;
  properties.fp8_flop_per_s = fp8_rate(properties.compute_capability) * properties.multiprocessors *
                              kHertz * attribute(cudaDevAttrClockRate, index);
  OCTAVO_CUDA_CHECK(cudaDriverGetVersion(&properties.driver_version));
  OCTAVO_CUDA_CHECK(cudaGetDeviceCount(&properties.devices));
  return properties;
}

class CudaEvent final : public DeviceEvent {
 public:
  explicit CudaEvent(cudaStream_t stream) : stream_(stream) {
    OCTAVO_CUDA_CHECK(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming));
  }
  ~CudaEvent() override { cudaEventDestroy(event_); }
  void record() override { OCTAVO_CUDA_CHECK(cudaEventRecord(event_, stream_)); }
  void wait() override { OCTAVO_CUDA_CHECK(cudaEventSynchronize(event_)); }

  cudaEvent_t handle() const { return event_; }

 private:
  cudaStream_t stream_;
  cudaEvent_t event_ = nullptr;
};

class CudaGraph final : public DeviceGraph {
 public:
  CudaGraph(cudaGraph_t graph, cudaStream_t stream) : stream_(stream) {
    OCTAVO_CUDA_CHECK(cudaGraphInstantiate(&executable_, graph, 0));
  }
  ~CudaGraph() override { cudaGraphExecDestroy(executable_); }
  void launch() override { OCTAVO_CUDA_CHECK(cudaGraphLaunch(executable_, stream_)); }

 private:
  cudaStream_t stream_;
  cudaGraphExec_t executable_ = nullptr;
};

struct GraphCloser {
  void operator()(cudaGraph_t graph) const { cudaGraphDestroy(graph); }
};
using GraphHandle = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, GraphCloser>;

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int index) : index_(index) {
    OCTAVO_CUDA_CHECK(cudaSetDevice(index));
    properties_ = properties_of(index);
    OCTAVO_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  ~CudaDevice() override {
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
  }

  const DeviceProperties& properties() const override { return properties_; }
  void activate() override { make_current(); }

  int64_t free_memory() const override {
    make_current();
    size_t free = 0;
    size_t total = 0;
    OCTAVO_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    return static_cast<int64_t>(free);
  }

  std::shared_ptr<std::byte[]> allocate(int64_t bytes) override {
    make_current();
    void* memory = nullptr;
    const cudaError_t status =
        cudaMalloc(&memory, static_cast<size_t>(std::max<int64_t>(bytes, 1)));
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // not sticky: the device goes on
      throw Error(ErrorCategory::kOutOfMemory,
                  fmt::format("[cuda] {} bytes are needed, {} of {} are free", bytes, free_memory(),
                              properties_.memory_bytes));
    }
    cuda::check(status, "cudaMalloc");
    return {static_cast<std::byte*>(memory), [](std::byte* data) { cudaFree(data); }};
  }

  std::shared_ptr<std::byte[]> allocate_staging(int64_t bytes) override {
    make_current();
    void* memory = nullptr;
    OCTAVO_CUDA_CHECK(cudaHostAlloc(&memory, static_cast<size_t>(std::max<int64_t>(bytes, 1)),
                                    cudaHostAllocMapped));
    return {static_cast<std::byte*>(memory), [](std::byte* data) { cudaFreeHost(data); }};
  }

  // Pageable memory is staged by the driver before the call returns.
  void upload(std::byte* to, const std::byte* from, int64_t bytes) override {
    transfer(to, from, bytes, cudaMemcpyHostToDevice);
  }
  void download(std::byte* to, const std::byte* from, int64_t bytes) override {
    transfer(to, from, bytes, cudaMemcpyDeviceToHost);
  }
  void copy(std::byte* to, const std::byte* from, int64_t bytes) override {
    transfer(to, from, bytes, cudaMemcpyDeviceToDevice);
  }
  void gather(std::span<const CopyRange> ranges) override {
    OCTAVO_CHECK(ranges.size() <= kMaxRanges);
    make_current();
    cuda::launch_gather_ranges(ranges.data(), static_cast<int>(ranges.size()), {.stream = stream_});
  }
  void zero(std::byte* to, int64_t bytes) override {
    OCTAVO_CUDA_CHECK(cudaMemsetAsync(to, 0, static_cast<size_t>(bytes), stream_));
  }
  void synchronize() override { OCTAVO_CUDA_CHECK(cudaStreamSynchronize(stream_)); }

  std::unique_ptr<DeviceEvent> make_event() override {
    make_current();
    return std::make_unique<CudaEvent>(stream_);
  }
  void wait_for(DeviceEvent& event) override {
    const auto* const other = dynamic_cast<const CudaEvent*>(&event);
    if (other == nullptr) return event.wait();
    OCTAVO_CUDA_CHECK(cudaStreamWaitEvent(stream_, other->handle(), 0));
  }
  bool has_graphs() const override { return true; }

  std::unique_ptr<DeviceGraph> capture(std::function<void()> work) override {
    make_current();
    OCTAVO_CUDA_CHECK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    cudaGraph_t captured = nullptr;
    try {
      work();
    } catch (...) {
      cudaStreamEndCapture(stream_, &captured);
      GraphHandle(captured).reset();
      throw;
    }
    OCTAVO_CUDA_CHECK(cudaStreamEndCapture(stream_, &captured));
    const GraphHandle graph(captured);
    return std::make_unique<CudaGraph>(graph.get(), stream_);
  }

  void* stream() override { return stream_; }

 private:
  // The runtime keeps a current device a thread; asking costs less than setting.
  void make_current() const {
    int current = 0;
    OCTAVO_CUDA_CHECK(cudaGetDevice(&current));
    if (current != index_) OCTAVO_CUDA_CHECK(cudaSetDevice(index_));
  }

  void transfer(std::byte* to, const std::byte* from, int64_t bytes, cudaMemcpyKind kind) {
    if (bytes == 0) return;
    OCTAVO_CUDA_CHECK(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), kind, stream_));
  }

  int index_;
  DeviceProperties properties_;
  cudaStream_t stream_ = nullptr;
};

}  // namespace

bool has_cuda_backend() { return true; }

std::vector<DeviceProperties> cuda_devices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return {};
  }
  std::vector<DeviceProperties> devices;
  for (int index = 0; index < count; ++index) devices.push_back(properties_of(index));
  return devices;
}

bool cuda_devices_reach(int from, int to) {
  int possible = 0;
  if (cudaDeviceCanAccessPeer(&possible, from, to) == cudaSuccess) return possible != 0;
  cudaGetLastError();
  return false;
}

std::unique_ptr<Device> open_cuda_device(int index) { return std::make_unique<CudaDevice>(index); }

}  // namespace octavo
