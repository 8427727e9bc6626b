// The scheduler of the emulated GPU and what its threads meet at.
// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/context/pooled_fixedsize_stack.hpp>
#include <cstring>

namespace octavo::emulator {
namespace {

constexpr size_t kStackBytes = size_t{256} << 10;
constexpr size_t kVariableBytes = size_t{64} << 10;
constexpr size_t kReserved = 1024;  // of shared memory, before what is dynamic
constexpr int kPoison = 0xFF;       // NaN in every float type

thread_local Thread* current = nullptr;

boost::context::pooled_fixedsize_stack& stacks() {
  thread_local boost::context::pooled_fixedsize_stack pool(kStackBytes);
  return pool;
}

std::unique_ptr<Cta> make_cta(Cluster& cluster, int rank, const Index3& block) {
  auto cta = std::make_unique<Cta>();
  cta->cluster = &cluster;
  cta->rank = rank;
  cta->block = block;
  cta->live_threads = cluster.grid.threads;
  const size_t dynamic = (static_cast<size_t>(cluster.grid.shared_bytes) + 1023) / 1024 * 1024;
  cta->shared_end = kReserved + dynamic;
  cta->variables_end = cta->shared_end;
  cta->storage.assign(cta->shared_end + kVariableBytes + 1024, std::byte{kPoison});
  const auto base = reinterpret_cast<uintptr_t>(cta->storage.data());
  cta->shared = reinterpret_cast<std::byte*>((base + 1023) / 1024 * 1024);
  cta->warps.resize(static_cast<size_t>((cluster.grid.threads + kLanes - 1) / kLanes));
  return cta;
}

void end_thread(Thread& ended) {
  Cta& cta = *ended.cta;
  ended.copies.run_all_but(0);
  ended.products.run_all_but(0);
  ended.stores.run_all_but(0);
  ended.done = true;
  --cta.live_threads;
  --cta.cluster->live_threads;
  cta.release(cta.barriers[0], cta.live_threads);
  if (cta.cluster->arrived > 0 && cta.cluster->arrived == cta.cluster->live_threads) {
    cta.cluster->arrived = 0;
    ++cta.cluster->generation;
  }
}

std::unique_ptr<Thread> make_thread(Cta& cta, int index, const std::function<void()>& body) {
  auto thread = std::make_unique<Thread>();
  Thread* const self = thread.get();
  self->cta = &cta;
  self->index = index;
  self->fiber = boost::context::fiber(std::allocator_arg, stacks(),
                                      [self, &body](boost::context::fiber&& scheduler) {
                                        self->scheduler = std::move(scheduler);
                                        try {
                                          body();
                                          end_thread(*self);
                                        } catch (const boost::context::detail::forced_unwind&) {
                                          throw;
                                        } catch (...) {
                                          self->cta->cluster->error = std::current_exception();
                                          self->done = true;
                                        }
                                        return std::move(self->scheduler);
                                      });
  return thread;
}

bool can_run(const Thread& thread) {
  return !thread.done && (thread.ready == nullptr || thread.ready(thread.waits_for));
}

void resume(Thread& next) {
  next.ready = nullptr;
  current = &next;
  next.fiber = std::move(next.fiber).resume();
}

// One round: every thread that can goes on, warps in random order. Whether any did.
bool run_threads(Cluster& cluster, std::vector<size_t>& order) {
  bool moved = false;
  std::shuffle(order.begin(), order.end(), random());
  for (const size_t first : order) {
    const size_t end = std::min(first + kLanes, cluster.threads.size());
    for (size_t i = first; i < end && cluster.error == nullptr; ++i) {
      Thread& thread = *cluster.threads[i];
      current = &thread;
      if (!can_run(thread)) continue;
      resume(thread);
      moved = true;
    }
  }
  return moved;
}

// Some of what is late happens; all where nothing else does.
bool run_late(Cluster& cluster, bool all) {
  std::vector<std::function<void()>> now, left;
  for (auto& work : cluster.late) (all || toss() ? now : left).push_back(std::move(work));
  std::shuffle(now.begin(), now.end(), random());
  cluster.late = std::move(left);
  for (const auto& work : now) work();
  return !now.empty();
}

std::string where_threads_wait(const Cluster& cluster) {
  std::string text;
  for (const auto& thread : cluster.threads) {
    if (!thread->done && thread->lane() == 0)
      text += fmt::format(" {}:{}", thread->cta->rank, thread->index / kLanes);
  }
  return text;
}

void run_cluster(Cluster& cluster) {
  std::vector<size_t> order;
  for (const auto& cta : cluster.ctas) {
    const size_t begin = order.empty() ? 0 : static_cast<size_t>(cta->rank * cluster.grid.threads);
    for (size_t i = 0; i < static_cast<size_t>(cluster.grid.threads); i += kLanes)
      order.push_back(begin + i);
  }
  while (cluster.live_threads > 0 && cluster.error == nullptr) {
    const bool moved = run_threads(cluster, order);
    if (cluster.error != nullptr) break;
    if (run_late(cluster, !moved) || moved) continue;
    throw Fault(fmt::format("deadlock in block {}: warps (CTA:warp){} wait for ever",
                            cluster.ctas.front()->block.x, where_threads_wait(cluster)));
  }
  if (cluster.error != nullptr) std::rethrow_exception(cluster.error);
  if (!cluster.late.empty())
    throw Fault("a copy was still under way when the last thread of its cluster ended");
}

}  // namespace

Thread& thread() { return *current; }
Cluster& cluster() { return *current->cta->cluster; }

std::mt19937& random() {
  thread_local std::mt19937 engine(20261123);
  return engine;
}

void yield() {
  Thread& self = *current;
  self.scheduler = std::move(self.scheduler).resume();
}

void run(const GridShape& grid, const std::function<void()>& body) {
  Thread* const before = current;
  for (unsigned z = 0; z < grid.blocks.z; ++z) {
    for (unsigned y = 0; y < grid.blocks.y; ++y) {
      for (unsigned x = 0; x < grid.blocks.x; x += static_cast<unsigned>(grid.cluster)) {
        Cluster cluster;
        cluster.grid = grid;
        cluster.live_threads = grid.cluster * grid.threads;
        for (int rank = 0; rank < grid.cluster; ++rank) {
          cluster.ctas.push_back(make_cta(cluster, rank, {x + static_cast<unsigned>(rank), y, z}));
          for (int i = 0; i < grid.threads; ++i)
            cluster.threads.push_back(make_thread(*cluster.ctas.back(), i, body));
        }
        run_cluster(cluster);
      }
    }
  }
  current = before;
}

void MemoryBarrier::add(int32_t bytes, int arrived) {
  if (arrived > pending) throw Fault("more arrivals at a barrier than its phase has");
  pending = static_cast<uint16_t>(pending - arrived);
  bytes_and_phase += 2 * bytes;
  if (pending != 0 || this->bytes() != 0) return;
  bytes_and_phase ^= 1;
  pending = arrivals;
}

void Cta::release(NamedBarrier& barrier, int threads) {
  if (barrier.arrived == 0 || barrier.arrived < threads) return;
  barrier.arrived = 0;
  ++barrier.generation;
}

void Cluster::arrive() {
  if (++arrived < live_threads) return;
  arrived = 0;
  ++generation;
}

void LateWork::commit() {
  groups.push_back(std::move(open));
  open.clear();
}

void LateWork::run_all_but(size_t groups_left) {
  if (groups_left == 0 && !open.empty()) commit();
  const size_t count = groups.size() > groups_left ? groups.size() - groups_left : 0;
  for (size_t i = 0; i < count; ++i) {
    for (const auto& work : groups[i]) work();
  }
  groups.erase(groups.begin(), groups.begin() + static_cast<std::ptrdiff_t>(count));
}

uint32_t shared_address(const void* pointer) {
  const Cta& cta = *thread().cta;
  const auto offset = static_cast<const std::byte*>(pointer) - cta.shared;
  if (offset < 0 || static_cast<size_t>(offset) > cta.variables_end)
    throw Fault("the shared address of what is not in this CTA's shared memory");
  return static_cast<uint32_t>(cta.rank + 1) << 24 | static_cast<uint32_t>(offset);
}

std::byte* shared_pointer(uint32_t address, size_t bytes) {
  const uint32_t rank = (address >> 24) - 1;
  const size_t offset = address & 0xFFFFFF;
  if (rank >= cluster().ctas.size())
    throw Fault(fmt::format("shared address {:#x}: no such CTA in the cluster", address));
  const Cta& cta = *cluster().ctas[rank];
  if (offset < kReserved || offset + bytes > cta.variables_end)
    throw Fault(fmt::format("shared address {:#x} + {}: outside of {} bytes", address, bytes,
                            cta.variables_end));
  return cta.shared + offset;
}

MemoryBarrier& barrier_at(uint32_t address) {
  if (address % 8 != 0) throw Fault("a barrier that is not aligned to 8 bytes");
  return *reinterpret_cast<MemoryBarrier*>(shared_pointer(address, sizeof(MemoryBarrier)));
}

void later(std::function<void()> work) { cluster().late.push_back(std::move(work)); }

const std::array<uint64_t, kLanes>& exchange(uint32_t mask, uint64_t value) {
  const int lane = thread().lane();
  const auto threads = static_cast<uint32_t>(cluster().grid.threads);
  const uint32_t in_warp = threads - static_cast<uint32_t>(thread().index / kLanes * kLanes);
  if (in_warp < kLanes) mask &= (1u << in_warp) - 1;
  if ((mask >> lane & 1) == 0) throw Fault("a lane takes part that its mask leaves out");
  Exchange& meeting = thread().warp().exchanges[mask];
  const int generation = meeting.generation;
  auto& values = meeting.values[static_cast<size_t>(generation & 1)];
  values[static_cast<size_t>(lane)] = value;
  meeting.arrived |= 1u << lane;
  if (meeting.arrived == mask) {
    meeting.arrived = 0;
    ++meeting.generation;
  } else {
    wait_until([&meeting, generation] { return meeting.generation != generation; });
  }
  return values;
}

void named_barrier(int name, int threads, bool waits) {
  if (name < 0 || name >= kNamedBarriers || threads % kLanes != 0)
    throw Fault(fmt::format("barrier {} of {} threads", name, threads));
  Cta& cta = *thread().cta;
  NamedBarrier& barrier = cta.barriers[static_cast<size_t>(name)];
  const int generation = barrier.generation;
  ++barrier.arrived;
  cta.release(barrier, threads);
  if (waits) wait_until([&barrier, generation] { return barrier.generation != generation; });
}

void block_barrier() {
  Cta& cta = *thread().cta;
  NamedBarrier& barrier = cta.barriers[0];
  const int generation = barrier.generation;
  ++barrier.arrived;
  cta.release(barrier, cta.live_threads);
  wait_until([&barrier, generation] { return barrier.generation != generation; });
}

std::byte* dynamic_shared() { return thread().cta->shared + kReserved; }

// Variables stand behind what is dynamic, in the order in which a thread first meets them.
std::byte* shared_variable(uint64_t place, size_t bytes) {
  Cta& cta = *thread().cta;
  std::byte*& variable = cta.variables[place << 24 | bytes];
  if (variable == nullptr) {
    const size_t begin = (cta.variables_end + 127) / 128 * 128;
    if (begin + bytes > cta.shared_end + kVariableBytes) throw Fault("too many shared variables");
    cta.variables_end = begin + bytes;
    variable = cta.shared + begin;
  }
  return variable;
}

}  // namespace octavo::emulator
