// Ranks for tests: a GPU each where there are enough, else streams of the first one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "backend/cuda/comm/peer_group.h"
#include "backend/cuda/cuda_device.h"
#include "backend/cuda/device_call.h"

namespace octavo::testing {

// Kernels are loaded with their program, not at their first launch: a load waits for the kernels
// that run, and where ranks share a GPU one that runs may wait for the rank that loads.
inline const bool kKernelsLoadFirst = setenv("CUDA_MODULE_LOADING", "EAGER", /*overwrite=*/1) == 0;

class PeerCase {
 public:
  explicit PeerCase(PeerGroupOptions options) {
    const auto present = static_cast<int64_t>(cuda_devices().size());
    const int64_t ranks = options.tp_size * options.pp_size;
    apart_ = ranks <= present;
    if (!apart_) options.blocks = kSharedBlocks;
    for (int64_t rank = 0; rank < ranks; ++rank)
      devices_.push_back(open_cuda_device(static_cast<int>(apart_ ? rank : 0)));
    comms_ = open_peer_group(devices_, options);
  }

  // Whether each rank has a GPU of its own.
  bool apart() const { return apart_; }
  int64_t ranks() const { return std::ssize(devices_); }
  Device& device(int64_t rank) const { return *devices_[static_cast<size_t>(rank)]; }
  Communicator& comm(int64_t rank) const { return *comms_[static_cast<size_t>(rank)]; }

  // Runs `work(rank)` in a thread for every rank and waits for what it asked the devices for.
  void on_all(const std::function<void(int64_t)>& work) const {
    std::vector<std::thread> threads;
    for (int64_t rank = 0; rank < ranks(); ++rank) {
      threads.emplace_back([&, rank] {
        try {
          device(rank).activate();
          work(rank);
          device(rank).synchronize();
        } catch (const std::exception& error) {
          ADD_FAILURE() << "rank " << rank << ": " << error.what();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  // A copy in the rank's memory, poisoned where there is nothing to copy.
  std::shared_ptr<std::byte[]> place(int64_t rank, const Tensor& tensor) const {
    auto memory = device(rank).allocate(tensor.bytes());
    device(rank).upload(memory.get(), tensor.data(), tensor.bytes());
    device(rank).synchronize();
    return memory;
  }
  void fetch(int64_t rank, const Tensor& to, const std::shared_ptr<std::byte[]>& from) const {
    device(rank).download(to.data(), from.get(), to.bytes());
    device(rank).synchronize();
  }

 private:
  static constexpr int kSharedBlocks = 16;  // so that the blocks of all ranks are resident

  bool apart_ = true;
  std::vector<std::shared_ptr<Device>> devices_;
  std::vector<std::shared_ptr<Communicator>> comms_;
};

// Tests with as many ranks as the parameter says.
class PeersTest : public ::testing::TestWithParam<int64_t> {
 protected:
  static constexpr int64_t kPushBytes = 64 << 10;  // so that small tests take both ways

  void SetUp() override {
    OCTAVO_REQUIRE_DEVICE();
    group_ = std::make_unique<PeerCase>(PeerGroupOptions{
        .tp_size = GetParam(), .stall_limit = std::chrono::seconds(2), .push_bytes = kPushBytes});
  }

  // One input a rank.
  std::vector<Tensor> inputs(DType dtype, Shape shape, uint32_t seed) const {
    std::vector<Tensor> all;
    for (int64_t rank = 0; rank < GetParam(); ++rank)
      all.push_back(Values(seed + static_cast<uint32_t>(rank)).normal(dtype, shape));
    return all;
  }

  // Runs a call on all ranks and returns every rank's y.
  std::vector<Tensor> results(
      const std::vector<Tensor>& x, Shape shape,
      const std::function<void(Communicator&, TensorView, TensorView)>& call) {
    std::vector<Tensor> y;
    for (size_t i = 0; i < x.size(); ++i) y.emplace_back(x[0].dtype(), shape);
    std::vector<std::shared_ptr<std::byte[]>> from, to;
    Tensor poison(x[0].dtype(), shape);
    std::memset(poison.data(), 0xFF, static_cast<size_t>(poison.bytes()));
    for (int64_t rank = 0; rank < GetParam(); ++rank) {
      from.push_back(group_->place(rank, x[rank]));
      to.push_back(group_->place(rank, poison));
    }
    group_->on_all([&](int64_t rank) {
      call(group_->comm(rank), TensorView(from[rank].get(), x[0].dtype(), x[rank].shape()),
           TensorView(to[rank].get(), x[0].dtype(), shape));
    });
    for (int64_t rank = 0; rank < GetParam(); ++rank) {
      group_->comm(rank).check();
      group_->fetch(rank, y[rank], to[rank]);
    }
    return y;
  }

  static float sum_of(const std::vector<Tensor>& x, int64_t index) {
    float sum = element(x[0].view(), index);
    for (size_t rank = 1; rank < x.size(); ++rank) sum += element(x[rank].view(), index);
    return sum;
  }

  std::unique_ptr<PeerCase> group_;
};

}  // namespace octavo::testing
