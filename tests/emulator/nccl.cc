// NCCL's functions for the emulated device: ranks are threads or processes of one machine.
// SPDX-License-Identifier: Apache-2.0
//
// Goals: what Octavo calls, asynchronous and captured as NCCL's are; sums in the order of ranks, in
// float32, rounded once; a rank that went is waited for until the communicator is aborted. The
// first call between ranks returns ncclInProgress, as NCCL's does while it connects.
#include <cuda_runtime_api.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "numerics/bf16.h"

namespace {

enum Result { kSuccess = 0, kInvalidArgument = 4, kInvalidUsage = 5, kInProgress = 7 };
constexpr int kUint8 = 1, kFloat = 7, kBfloat16 = 9;

struct Id {
  char bytes[128];
};
struct Config {
  size_t size;
  unsigned magic, version;
  int blocking;
};

size_t size_of(int type) { return type == kFloat ? 4 : type == kBfloat16 ? 2 : 1; }

struct Comm;
enum class Kind { kAllReduce, kReduceScatter, kReduce, kAllGather, kBroadcast, kSend, kRecv };

struct Call {
  Kind kind;
  const char* from;
  char* to;
  size_t count;
  int type, peer;  // root, or the other end
  Comm* comm;
  cudaStream_t stream;

  size_t bytes() const { return count * size_of(type); }
};

struct Comm {
  int rank = 0, size = 0;
  std::vector<int> sockets;  // by rank
  std::atomic<int> state = kInProgress;
  std::atomic<bool> aborted = false;
  bool used = false;
  std::thread begins;      // what takes longer than a call
  std::deque<Call> calls;  // graphs repeat them
};

sockaddr_un address_of(const Id& id, int rank) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;  // an abstract name: no file
  std::snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%.60s-%d", id.bytes, rank);
  return address;
}

// Moves bytes to and from all peers at once; stands still where one went, until it is aborted.
struct Transfer {
  int socket;
  const char* out;
  char* in;
  size_t out_left, in_left;
};
void move(Comm& comm, std::vector<Transfer> transfers) {
  while (!comm.aborted) {
    std::vector<pollfd> waits;
    for (const Transfer& t : transfers) {
      const int events = (t.out_left > 0 ? POLLOUT : 0) | (t.in_left > 0 ? POLLIN : 0);
      if (events != 0) waits.push_back({t.socket, static_cast<short>(events), 0});
    }
    if (waits.empty()) return;
    poll(waits.data(), waits.size(), 20);
    bool moved = false;
    for (Transfer& t : transfers) {
      if (t.out_left > 0) {
        const ssize_t sent = send(t.socket, t.out, t.out_left, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) t.out += sent, t.out_left -= static_cast<size_t>(sent), moved = true;
      }
      if (t.in_left > 0) {
        const ssize_t got = recv(t.socket, t.in, t.in_left, MSG_DONTWAIT);
        if (got > 0) t.in += got, t.in_left -= static_cast<size_t>(got), moved = true;
      }
    }
    if (!moved) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

float term(const char* from, size_t i, int type) {
  if (type == kFloat) return reinterpret_cast<const float*>(from)[i];
  return octavo::to_float(reinterpret_cast<const octavo::bf16*>(from)[i]);
}
void sum(const std::vector<const char*>& terms, char* to, size_t count, int type) {
  for (size_t i = 0; i < count; ++i) {
    float total = term(terms[0], i, type);
    for (size_t rank = 1; rank < terms.size(); ++rank) total += term(terms[rank], i, type);
    if (type == kFloat) {
      reinterpret_cast<float*>(to)[i] = total;
    } else {
      reinterpret_cast<octavo::bf16*>(to)[i] = octavo::to_bf16(total);
    }
  }
}

// Every rank's terms of what `call` sums here; `count` of them from element `first` of the input.
void run_sum(const Call& call) {
  Comm& comm = *call.comm;
  const bool scatters = call.kind == Kind::kReduceScatter;
  const bool to_one = call.kind == Kind::kReduce;
  const bool receives = !to_one || call.peer == comm.rank;
  const size_t bytes = call.bytes();
  std::vector<std::vector<char>> arrived(static_cast<size_t>(comm.size));
  std::vector<const char*> terms;
  std::vector<Transfer> transfers;
  for (int rank = 0; rank < comm.size; ++rank) {
    const auto at = static_cast<size_t>(rank);
    const char* const own = call.from + (scatters ? at * bytes : 0);
    if (rank == comm.rank) {
      terms.push_back(own);
      continue;
    }
    arrived[at].resize(receives ? bytes : 0);
    terms.push_back(arrived[at].data());
    const bool sends = !to_one || call.peer == rank;
    transfers.push_back(
        {comm.sockets[at], own, arrived[at].data(), sends ? bytes : 0, arrived[at].size()});
  }
  move(comm, transfers);
  if (!receives || comm.aborted) return;
  std::vector<char> total(bytes);
  sum(terms, total.data(), call.count, call.type);
  std::memcpy(call.to, total.data(), bytes);
}

void run_move(const Call& call) {
  Comm& comm = *call.comm;
  const bool gathers = call.kind == Kind::kAllGather;
  const size_t bytes = call.bytes();
  std::vector<Transfer> transfers;
  for (int rank = 0; rank < comm.size; ++rank) {
    char* const to = call.to + (gathers ? static_cast<size_t>(rank) * bytes : 0);
    const bool takes = gathers || (call.kind == Kind::kBroadcast && rank == call.peer) ||
                       (call.kind == Kind::kRecv && rank == call.peer);
    const bool gives = gathers || (call.kind == Kind::kBroadcast && comm.rank == call.peer) ||
                       (call.kind == Kind::kSend && rank == call.peer);
    if (rank != comm.rank) {
      transfers.push_back({comm.sockets[static_cast<size_t>(rank)], call.from, to,
                           gives ? bytes : 0, takes ? bytes : 0});
    } else if (takes && to != call.from) {
      std::memmove(to, call.from, bytes);
    }
  }
  move(comm, transfers);
}

void run(void* data) {
  const Call& call = *static_cast<const Call*>(data);
  const bool sums = call.kind == Kind::kAllReduce || call.kind == Kind::kReduceScatter ||
                    call.kind == Kind::kReduce;
  sums ? run_sum(call) : run_move(call);
}

void launch(const std::vector<Call>& calls) {
  for (const Call& call : calls) {
    call.comm->calls.push_back(call);
    cudaLaunchHostFunc(call.stream, run, &call.comm->calls.back());
  }
}

thread_local int depth = 0;
thread_local std::vector<Call> group;

int end_group() {
  std::vector<Call> calls = std::move(group);
  group.clear();
  if (calls.empty()) return kSuccess;
  Comm& comm = *calls.front().comm;
  if (comm.used) {
    launch(calls);
    return kSuccess;
  }
  comm.used = true;
  comm.state = kInProgress;
  comm.begins.join();
  comm.begins = std::thread([calls, &comm] {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (!comm.aborted) launch(calls);
    comm.state = kSuccess;
  });
  return kInProgress;
}

int add(const Call& call) {
  if (call.comm == nullptr ||
      (call.type != kUint8 && call.type != kFloat && call.type != kBfloat16))
    return kInvalidArgument;
  if (call.comm->state != kSuccess) return kInvalidUsage;  // the last call was not waited for
  group.push_back(call);
  return depth > 0 ? kSuccess : end_group();
}

void connect_all(Comm& comm, const Id& id, int listener) {
  for (int rank = 0; rank < comm.rank && !comm.aborted;) {
    const sockaddr_un address = address_of(id, rank);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
      send(fd, &comm.rank, sizeof(comm.rank), MSG_NOSIGNAL);
      comm.sockets[static_cast<size_t>(rank++)] = fd;
    } else {
      close(fd);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  for (int missing = comm.size - 1 - comm.rank; missing > 0 && !comm.aborted;) {
    pollfd waits = {listener, POLLIN, 0};
    if (poll(&waits, 1, 20) != 1) continue;
    const int fd = accept(listener, nullptr, nullptr);
    int rank = 0;
    if (recv(fd, &rank, sizeof(rank), MSG_WAITALL) != sizeof(rank)) continue;
    comm.sockets[static_cast<size_t>(rank)] = fd;
    --missing;
  }
  close(listener);
  comm.state = kSuccess;
}

}  // namespace

extern "C" {

int ncclGetVersion(int* version) {
  *version = 29900;
  return kSuccess;
}
int ncclGetUniqueId(Id* id) {
  std::random_device random;
  std::snprintf(id->bytes, sizeof(id->bytes), "emulated-nccl-%d-%08x%08x", getpid(), random(),
                random());
  return kSuccess;
}
// Only what Octavo asks for is there: calls that do not block, and no NVLink multicast.
int ncclCommInitRankConfig(Comm** made, int size, Id id, int rank, const Config* config) {
  const char* const multicast = std::getenv("NCCL_NVLS_ENABLE");
  if (rank < 0 || rank >= size || config->magic != 0xCAFEBEEF || config->blocking != 0 ||
      config->size < sizeof(Config) || multicast == nullptr || std::strcmp(multicast, "0") != 0)
    return kInvalidArgument;
  auto* const comm = new Comm;  // never deleted: streams may still hold calls when it is aborted
  comm->rank = rank;
  comm->size = size;
  comm->sockets.assign(static_cast<size_t>(size), -1);
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_of(id, rank);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listener, size) != 0)
    return kInvalidUsage;
  comm->begins = std::thread(connect_all, std::ref(*comm), id, listener);
  *made = comm;
  return kInProgress;
}
int ncclCommAbort(Comm* comm) {
  comm->aborted = true;
  if (comm->begins.joinable()) comm->begins.join();
  return kSuccess;
}
int ncclCommGetAsyncError(Comm* comm, int* result) {
  *result = comm->state;
  return kSuccess;
}
const char* ncclGetErrorString(int result) {
  switch (result) {
    case kSuccess:
      return "no error";
    case kInvalidArgument:
      return "invalid argument";
    case kInvalidUsage:
      return "invalid usage";
    case kInProgress:
      return "in progress";
    default:
      return "unknown result code";
  }
}
const char* ncclGetLastError(Comm*) { return ""; }
int ncclGroupStart() {
  ++depth;
  return kSuccess;
}
int ncclGroupEnd() { return --depth > 0 ? static_cast<int>(kSuccess) : end_group(); }

int ncclAllReduce(const char* from, char* to, size_t count, int type, int, Comm* comm,
                  cudaStream_t stream) {
  return add({Kind::kAllReduce, from, to, count, type, 0, comm, stream});
}
int ncclReduceScatter(const char* from, char* to, size_t count, int type, int, Comm* comm,
                      cudaStream_t stream) {
  return add({Kind::kReduceScatter, from, to, count, type, 0, comm, stream});
}
int ncclReduce(const char* from, char* to, size_t count, int type, int, int root, Comm* comm,
               cudaStream_t stream) {
  return add({Kind::kReduce, from, to, count, type, root, comm, stream});
}
int ncclAllGather(const char* from, char* to, size_t count, int type, Comm* comm,
                  cudaStream_t stream) {
  return add({Kind::kAllGather, from, to, count, type, 0, comm, stream});
}
int ncclBroadcast(const char* from, char* to, size_t count, int type, int root, Comm* comm,
                  cudaStream_t stream) {
  return add({Kind::kBroadcast, from, to, count, type, root, comm, stream});
}
int ncclSend(const char* from, size_t count, int type, int peer, Comm* comm, cudaStream_t stream) {
  return add({Kind::kSend, from, nullptr, count, type, peer, comm, stream});
}
int ncclRecv(char* to, size_t count, int type, int peer, Comm* comm, cudaStream_t stream) {
  return add({Kind::kRecv, nullptr, to, count, type, peer, comm, stream});
}

}  // extern "C"
