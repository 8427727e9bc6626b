// Connecting, waiting and ending.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/comm/nccl_links.h"

#include <cstring>
#include <thread>

#include "backend/cuda/cuda_check.h"
#include "core/error.h"

namespace octavo::cuda {
namespace {

// What NCCL may take to connect: all ranks are there when it begins.
constexpr std::chrono::seconds kSettleLimit{60};
// What takes longer than a launch is asked after rarely.
constexpr std::chrono::milliseconds kSpin{2};
constexpr std::chrono::microseconds kPoll{100};
// For another thread to return from NCCL before its communicators are aborted all the same.
constexpr std::chrono::seconds kAbortPatience{1};

bool is_failure(int result) { return result != kNcclSuccess && result != kNcclInProgress; }

}  // namespace

NcclLinks::NcclLinks(const NcclApi& api, std::shared_ptr<ProcessGroup> processes,
                     const RankPlace& place, int device, cudaStream_t stream)
    : api_(api), processes_(std::move(processes)), place_(place), device_(device), stream_(stream) {
  const std::vector<NcclId> ids = exchange_ids();
  OCTAVO_CUDA_CHECK(cudaSetDevice(device));
  try {
    if (place.tp_size > 1) {
      connect(stage_, static_cast<int>(place.tp_size), ids[static_cast<size_t>(place.stage())],
              static_cast<int>(place.index()));
    }
    if (place.pp_size > 1) {
      connect(world_, static_cast<int>(place.ranks()), ids.back(), static_cast<int>(place.rank));
    }
  } catch (...) {
    end();
    throw;
  }
}

NcclLinks::~NcclLinks() {
  end();
  for (const Mark& mark : marks_) cudaEventDestroy(mark.event);
  for (const cudaEvent_t event : free_events_) cudaEventDestroy(event);
}

// One of each stage and one of all, which the first rank makes.
std::vector<NcclId> NcclLinks::exchange_ids() const {
  const auto count = static_cast<size_t>(place_.pp_size + 1);
  processes_->agree("NCCL version", nccl_version_text(api_.version));
  const std::string bytes = processes_->exchange("", [&](const std::vector<std::string>&) {
    std::string made;
    for (size_t i = 0; i < count; ++i) {
      NcclId id = {};
      if (const int result = api_.get_unique_id(&id); result != kNcclSuccess)
        throw Error(ErrorCategory::kDevice, describe("ncclGetUniqueId", nullptr, result));
      made.append(id.bytes, sizeof(id.bytes));
    }
    return made;
  });
  std::vector<NcclId> ids(count);
  if (bytes.size() != count * sizeof(NcclId))
    throw Error(ErrorCategory::kDevice, "rank 0 sent no ids of NCCL's");
  for (size_t i = 0; i < count; ++i)
    std::memcpy(ids[i].bytes, bytes.data() + i * sizeof(NcclId), sizeof(NcclId));
  return ids;
}

void NcclLinks::connect(NcclComm& comm, int ranks, const NcclId& id, int rank) {
  Lock lock(mutex_);
  check();
  NcclConfig config;
  const int result = api_.comm_init(&comm, ranks, id, rank, &config);
  settle("ncclCommInitRankConfig", comm, result, lock);
}

std::string NcclLinks::describe(const char* what, NcclComm comm, int result) const {
  const char* const last = api_.last_error(comm);
  const std::string detail = last == nullptr || *last == '\0' ? "" : fmt::format(" ({})", last);
  return printable(fmt::format("{}: {}{}", what, api_.error_name(result), detail), 1000);
}

void NcclLinks::fail(const std::string& why) {
  processes_->fail(why);
  processes_->check();
  throw Error(ErrorCategory::kDevice, why);
}

// The lock is given up between questions: whoever ends the ranks needs it.
void NcclLinks::settle(const char* what, NcclComm comm, int result, Lock& lock) {
  const auto start = std::chrono::steady_clock::now();
  while (result == kNcclInProgress) {
    lock.unlock();
    processes_->check();
    const auto waited = std::chrono::steady_clock::now() - start;
    if (waited > kSettleLimit)
      fail(fmt::format("{} did not end within {} s", what, kSettleLimit.count()));
    waited < kSpin ? std::this_thread::yield() : std::this_thread::sleep_for(kPoll);
    lock.lock();
    check();
    if (const int asked = api_.comm_error(comm, &result); asked != kNcclSuccess) result = asked;
  }
  if (result == kNcclSuccess) return;
  const std::string why = describe(what, comm, result);
  lock.unlock();
  fail(why);
}

void NcclLinks::call(const char* what, NcclComm comm, const std::function<int()>& work) {
  Lock lock(mutex_);
  check();
  int result = api_.group_start();
  if (result == kNcclSuccess) {
    const int inside = work();
    result = api_.group_end();
    if (is_failure(inside)) result = inside;
  }
  settle(what, comm, result, lock);
}

void NcclLinks::mark() {
  cudaStreamCaptureStatus capturing = cudaStreamCaptureStatusNone;
  OCTAVO_CUDA_CHECK(cudaStreamIsCapturing(stream_, &capturing));
  if (capturing != cudaStreamCaptureStatusNone) return;
  const std::lock_guard lock(marks_mutex_);
  cudaEvent_t event = nullptr;
  if (free_events_.empty()) {
    OCTAVO_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  } else {
    event = free_events_.back();
    free_events_.pop_back();
  }
  marks_.push_back({event, ++asked_});
  OCTAVO_CUDA_CHECK(cudaEventRecord(event, stream_));
}

// The process group knows the rank that failed; ranks that were ended without it are over too.
void NcclLinks::check() const {
  processes_->check();
  if (ended_) throw Error(ErrorCategory::kDevice, "the ranks were stopped");
}

RankProgress NcclLinks::progress() {
  const std::lock_guard lock(marks_mutex_);
  while (!marks_.empty() && cudaEventQuery(marks_.front().event) != cudaErrorNotReady) {
    done_ = marks_.front().number;
    free_events_.push_back(marks_.front().event);
    marks_.pop_front();
  }
  return {.asked = asked_, .done = done_, .group = place_.stage()};
}

std::string NcclLinks::failure() {
  const Lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || ended_) return "";
  for (const NcclComm comm : {stage_, world_}) {
    int result = kNcclSuccess;
    if (comm == nullptr) continue;
    if (const int asked = api_.comm_error(comm, &result); asked != kNcclSuccess) result = asked;
    if (is_failure(result)) return describe("NCCL", comm, result);
  }
  return "";
}

// Kernels that wait for other ranks give up. A thread that does not return from NCCL is not waited
// for: aborting is what makes it return.
void NcclLinks::end() noexcept {
  if (ended_.exchange(true)) return;
  const Lock lock(mutex_, kAbortPatience);
  cudaSetDevice(device_);
  for (const NcclComm comm : {stage_, world_}) {
    if (comm != nullptr) api_.comm_abort(comm);
  }
}

}  // namespace octavo::cuda
