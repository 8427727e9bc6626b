// Machine: an emulated GPU. Threads of a kernel are fibers; what the hardware does by itself
// (copies, products of a warpgroup) happens at random moments that its rules allow.
// SPDX-License-Identifier: Apache-2.0
//
// Meant for the correctness of kernels where no GPU is: indices, layouts, barriers, phases, races
// between copies and their readers. It knows nothing of time, and of memory order only that what is
// asynchronous may be late. The clusters of a grid run one after the other, each to its end.
#pragma once

#include <array>
#include <boost/context/fiber.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

namespace octavo::emulator {

struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};

struct GridShape {
  Index3 blocks;
  int threads = 1;
  int shared_bytes = 0;
  int cluster = 1;
};

// What a kernel must not do: where, and what was seen.
struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline constexpr int kLanes = 32;
inline constexpr int kMultiprocessors = 8;  // few, so that persistent kernels have several tiles
inline constexpr int kSharedBytes = 227 * 1024;
inline constexpr int kNamedBarriers = 16;

// An mbarrier as it lies in shared memory.
struct MemoryBarrier {
  uint16_t arrivals = 0;  // of a phase
  uint16_t pending = 0;
  int32_t bytes_and_phase = 0;  // bytes that are still expected × 2 + phase

  int phase() const { return bytes_and_phase & 1; }
  int32_t bytes() const { return bytes_and_phase >> 1; }
  void add(int32_t bytes, int arrived);
};
static_assert(sizeof(MemoryBarrier) == 8);

// Where the lanes of a mask exchange values.
struct Exchange {
  uint32_t arrived = 0;
  int generation = 0;
  std::array<std::array<uint64_t, kLanes>, 2> values = {};
};

struct Warp {
  std::map<uint32_t, Exchange> exchanges;  // by mask
};

struct NamedBarrier {
  int arrived = 0;
  int generation = 0;
};

struct Cluster;

struct Cta {
  Cluster* cluster = nullptr;
  int rank = 0;  // in the cluster
  Index3 block;
  int live_threads = 0;
  std::vector<std::byte> storage;
  std::byte* shared = nullptr;  // 1 KiB before dynamic shared memory; aligned to 1 KiB
  size_t shared_end = 0;
  std::map<uint64_t, std::byte*> variables;  // of __shared__, by place in the source
  size_t variables_end = 0;
  std::vector<Warp> warps;
  std::array<NamedBarrier, kNamedBarriers> barriers;

  // Lets those go who wait for threads that have ended, or for this one.
  void release(NamedBarrier& barrier, int threads);
};

// Work that the hardware does later, in groups that a thread waits for.
struct LateWork {
  std::vector<std::vector<std::function<void()>>> groups;
  std::vector<std::function<void()>> open;

  void commit();
  void run_all_but(size_t groups_left);
};

struct Thread {
  Cta* cta = nullptr;
  int index = 0;
  bool done = false;
  int cluster_generation = 0;  // of the cluster barrier that it has arrived at
  LateWork copies, products, stores;
  boost::context::fiber fiber;
  boost::context::fiber scheduler;
  bool (*ready)(void*) = nullptr;  // null: it can go on
  void* waits_for = nullptr;

  int lane() const { return index % kLanes; }
  Warp& warp() const { return cta->warps[static_cast<size_t>(index / kLanes)]; }
};

struct Cluster {
  GridShape grid;
  std::vector<std::unique_ptr<Cta>> ctas;
  std::vector<std::unique_ptr<Thread>> threads;
  std::vector<std::function<void()>> late;  // copies that complete on a barrier
  int live_threads = 0;
  int arrived = 0, generation = 0;  // of the cluster barrier
  std::exception_ptr error;

  void arrive();
};

// The thread that runs now, and its cluster; only inside of a kernel.
Thread& thread();
Cluster& cluster();
std::mt19937& random();
inline bool toss() { return random()() % 2 == 0; }

void yield();

// Waits until `passed()`.
template <typename Predicate>
void wait_until(Predicate passed) {
  while (!passed()) {
    thread().ready = [](void* predicate) { return (*static_cast<Predicate*>(predicate))(); };
    thread().waits_for = &passed;
    yield();
  }
}

// Runs the kernel's body in every thread of the grid; throws Fault.
void run(const GridShape& grid, const std::function<void()>& body);

// Addresses of shared memory as PTX has them: the rank in the cluster + 1 in the top byte.
uint32_t shared_address(const void* pointer);
std::byte* shared_pointer(uint32_t address, size_t bytes);
MemoryBarrier& barrier_at(uint32_t address);
void later(std::function<void()> work);

// All lanes of the mask give a value and get everybody's.
const std::array<uint64_t, kLanes>& exchange(uint32_t mask, uint64_t value);
void named_barrier(int name, int threads, bool waits);
void block_barrier();

std::byte* dynamic_shared();
std::byte* shared_variable(uint64_t place, size_t bytes);

template <typename T>
T& shared_variable(uint64_t place) {
  return *reinterpret_cast<T*>(shared_variable(place, sizeof(T)));
}

}  // namespace octavo::emulator
