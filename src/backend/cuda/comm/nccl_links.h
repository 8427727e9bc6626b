// NcclLinks: a rank's communicators of NCCL, what was asked of them, and their end.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backend/cuda/comm/nccl_api.h"
#include "comm/comm.h"
#include "comm/process_group.h"

namespace octavo::cuda {

// NCCL's calls return at once; what they begin is waited for with an eye on the other ranks. The
// rank's thread calls; the process group's thread watches and ends.
class NcclLinks final : public RankWatch {
 public:
  // Connects with all other ranks, which do the same.
  NcclLinks(const NcclApi& api, std::shared_ptr<ProcessGroup> processes, const RankPlace& place,
            int device, cudaStream_t stream);
  ~NcclLinks() override;

  const NcclApi& api() const { return api_; }
  NcclComm stage() const { return stage_; }  // ranks of a stage by their index; null for one alone
  NcclComm world() const { return world_; }  // all ranks; null without stages

  // Runs `work`, calls of `comm` within a group, and waits until NCCL has taken them. Throws
  // Error(kDevice), then and when the ranks have ended.
  void call(const char* what, NcclComm comm, const std::function<int()>& work);
  // The stream has been asked for a call between ranks, or for a step. Not while it is captured.
  void mark();
  void check() const;

  RankProgress progress() override;
  std::string failure() override;
  void end() noexcept override;

 private:
  struct Mark {
    cudaEvent_t event;
    uint64_t number;
  };
  using Lock = std::unique_lock<std::timed_mutex>;

  std::vector<NcclId> exchange_ids() const;
  void connect(NcclComm& comm, int ranks, const NcclId& id, int rank);
  void settle(const char* what, NcclComm comm, int result, Lock& lock);
  std::string describe(const char* what, NcclComm comm, int result) const;
  [[noreturn]] void fail(const std::string& why);

  const NcclApi& api_;
  std::shared_ptr<ProcessGroup> processes_;
  RankPlace place_;
  int device_;
  cudaStream_t stream_;
  std::timed_mutex mutex_;  // of the communicators
  NcclComm stage_ = nullptr, world_ = nullptr;
  std::atomic<bool> ended_ = false;

  std::mutex marks_mutex_;
  std::deque<Mark> marks_;  // not reached yet
  std::vector<cudaEvent_t> free_events_;
  uint64_t asked_ = 0, done_ = 0;
};

}  // namespace octavo::cuda
