// Choice and opening of devices.
// SPDX-License-Identifier: Apache-2.0
#include "api/devices.h"

#include <algorithm>

#include "backend/cuda/comm/peer_group.h"
#include "backend/cuda/cuda_device.h"
#include "core/error.h"
#include "core/host_device.h"

namespace octavo {
namespace {

std::vector<std::shared_ptr<Device>> open_gpus(int64_t count) {
  const int64_t present = std::ssize(cuda_devices());
  if (count > present) {
    throw Error(ErrorCategory::kUnsupported,
                fmt::format("{} ranks need a GPU each, this machine has {}", count, present));
  }
  std::vector<std::shared_ptr<Device>> devices;
  for (int64_t index = 0; index < count; ++index)
    devices.push_back(open_cuda_device(static_cast<int>(index)));
  return devices;
}

}  // namespace

std::string resolve_device(const std::string& asked) {
  if (asked == "cpu") return asked;
  if (asked == "auto") return cuda_devices().empty() ? "cpu" : "cuda";
  if (asked != "cuda") {
    throw Error(ErrorCategory::kUsage,
                fmt::format("--device: expected auto|cpu|cuda, got \"{}\"", printable(asked)));
  }
  if (!has_cuda_backend()) {
    throw Error(ErrorCategory::kUnsupported,
                "--device cuda: this program was built without the CUDA backend");
  }
  if (cuda_devices().empty())
    throw Error(ErrorCategory::kDevice, "--device cuda: this machine has no CUDA device");
  return asked;
}

std::shared_ptr<Device> open_device(const std::string& resolved, ThreadPool& pool, int index) {
  if (resolved == "cuda") return open_cuda_device(index);
  return std::make_shared<HostDevice>(pool);
}

std::vector<std::shared_ptr<Device>> open_devices(const std::string& resolved, ThreadPool& pool,
                                                  int64_t ranks) {
  if (ranks == 1) return {open_device(resolved, pool)};
  if (resolved == "cuda") return open_gpus(ranks);
  struct RankHost {
    explicit RankHost(int threads) : pool(threads), device(pool) {}
    ThreadPool pool;
    HostDevice device;
  };
  std::vector<std::shared_ptr<Device>> devices;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const auto host =
        std::make_shared<RankHost>(std::max(1, pool.size() / static_cast<int>(ranks)));
    devices.emplace_back(host, &host->device);
  }
  return devices;
}

std::vector<std::shared_ptr<Communicator>> open_comms(
    std::span<const std::shared_ptr<Device>> devices, const EngineConfig& config) {
  if (devices.size() == 1 || devices.front()->type() == DeviceType::kCpu)
    return std::vector<std::shared_ptr<Communicator>>(devices.size());
  return open_peer_group(devices, {.tp_size = config.tp_size, .pp_size = config.pp_size});
}

std::unique_ptr<GroupTimer> open_group_timer(const BuildConfig& resolved, ThreadPool& pool) {
  const int64_t ranks = resolved.tp_size * resolved.pp_size;
  if (resolved.device != "cuda" || resolved.tp_size == 1 || !resolved.plugin_config.reduce_fusion ||
      ranks > std::ssize(cuda_devices()))
    return nullptr;
  const auto devices = open_devices(resolved.device, pool, resolved.tp_size);
  const auto comms = open_comms(devices, {.tp_size = resolved.tp_size});
  std::vector<GroupTimer::Rank> stage;
  for (size_t i = 0; i < devices.size(); ++i) stage.push_back({devices[i], comms[i]});
  return std::make_unique<GroupTimer>(std::move(stage));
}

}  // namespace octavo
