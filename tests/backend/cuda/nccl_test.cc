// Ranks over NCCL: exact where sums are, captured, and ended together. On the emulated GPU the
// library is emulated too; elsewhere the tests want NCCL and a GPU a rank.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>

#include "backend/cuda/comm/nccl_communicator.h"
#include "backend/cuda/comm/nccl_group.h"
#include "backend/cuda/cuda_device.h"
#include "comm/free_port.h"
#include "core/error.h"
#include "numerics/bf16.h"

namespace octavo {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using Axis = Communicator::Axis;

struct Rank {
  RankPlace place;
  std::shared_ptr<Device> device;
  std::vector<std::shared_ptr<std::byte[]>> kept;  // until nothing runs on the device
  std::shared_ptr<ProcessGroup> processes;
  std::shared_ptr<Communicator> comm;

  std::shared_ptr<std::byte[]> allocate(int64_t bytes) {
    kept.push_back(device->allocate(bytes));
    return kept.back();
  }
  std::shared_ptr<std::byte[]> place_bytes(const Tensor& tensor) {
    auto memory = allocate(tensor.bytes());
    device->upload(memory.get(), tensor.data(), tensor.bytes());
    return memory;
  }
  // What is at `from` when all that was asked for is done.
  Tensor fetch(const std::shared_ptr<std::byte[]>& from, DType dtype, Shape shape) const {
    Tensor to(dtype, shape);
    device->download(to.data(), from.get(), to.bytes());
    device->synchronize();
    return to;
  }
};

int gpu_of(int64_t rank) { return cuda_devices().size() == 1 ? 0 : static_cast<int>(rank); }

// Whether so many ranks can be tried here: several share a GPU on the emulated one alone.
bool can_run(int64_t ranks) {
  const auto devices = cuda_devices();
  if (devices.empty() || !nccl_library().found) return false;
  return std::ssize(devices) >= ranks || devices.front().name == "Emulated GPU";
}

// What every rank, a thread with a process group of its own, threw.
std::vector<std::string> on_all(int64_t tp_size, int64_t pp_size,
                                const std::function<void(Rank&)>& work,
                                milliseconds stall_limit = milliseconds(8000)) {
  const int port = free_port();
  std::vector<std::string> errors(static_cast<size_t>(tp_size * pp_size));
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < tp_size * pp_size; ++rank) {
    threads.emplace_back([&, rank] {
      Rank self{.place = {.tp_size = tp_size, .pp_size = pp_size, .rank = rank}};
      try {
        self.device = open_cuda_device(gpu_of(rank));
        const RankEnvironment environment{.rank = rank,
                                          .size = tp_size * pp_size,
                                          .local_rank = rank,
                                          .host = "127.0.0.1",
                                          .port = port};
        self.processes = std::make_shared<ProcessGroup>(
            environment, ProcessGroupOptions{.stall_limit = stall_limit});
        self.comm = open_nccl_rank(*self.device, self.processes, self.place);
        work(self);
        self.device->synchronize();
        self.comm->check();
        self.processes->agree("the end", "");
        self.processes->finish();
      } catch (const Error& error) {
        errors[static_cast<size_t>(rank)] = error.what();
      }
      self.comm.reset();
      if (self.device != nullptr) self.device->synchronize();
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

void expect_all_well(const std::vector<std::string>& errors) {
  EXPECT_THAT(errors, testing::Each("")) << "of a rank";
}

// Small whole numbers: their sums are exact in any order.
float value_of(int64_t rank, int64_t i) { return static_cast<float>((7 * rank + 3 * i) % 11 - 5); }
float sum_of(int64_t ranks, int64_t i) {
  float sum = 0;
  for (int64_t rank = 0; rank < ranks; ++rank) sum += value_of(rank, i);
  return sum;
}

void set(Tensor& tensor, int64_t i, float value) {
  if (tensor.dtype() == DType::kF32) tensor.as<float>()[i] = value;
  if (tensor.dtype() == DType::kBF16) tensor.as<bf16>()[i] = to_bf16(value);
}
float get(const Tensor& tensor, int64_t i) {
  return tensor.dtype() == DType::kF32 ? tensor.as<float>()[i] : to_float(tensor.as<bf16>()[i]);
}

Tensor matrix(int64_t rank, DType dtype, Shape shape) {
  Tensor x(dtype, shape);
  for (int64_t i = 0; i < x.shape().elements(); ++i) set(x, i, value_of(rank, i));
  return x;
}

class Nccl : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Type, Nccl, testing::Values(DType::kF32, DType::kBF16),
                         [](const auto& info) { return std::string(to_string(info.param)); });

TEST_P(Nccl, AllReduce) {
  if (!can_run(4)) GTEST_SKIP() << "four GPUs and NCCL";
  const DType dtype = GetParam();
  expect_all_well(on_all(4, 1, [&](Rank& rank) {
    const Shape shape = {5, 48};
    const auto x = rank.place_bytes(matrix(rank.place.rank, dtype, shape));
    const auto y = rank.allocate(5 * 48 * 4);
    rank.comm->all_reduce(TensorView(x.get(), dtype, shape), TensorView(y.get(), dtype, shape));
    const Tensor sum = rank.fetch(y, dtype, shape);
    for (int64_t i = 0; i < 5 * 48; ++i) ASSERT_EQ(get(sum, i), sum_of(4, i)) << i;
  }));
}

// A view of columns is summed row by row, and nothing beside it is touched.
TEST_P(Nccl, AllReduceOfColumns) {
  if (!can_run(2)) GTEST_SKIP() << "two GPUs and NCCL";
  const DType dtype = GetParam();
  expect_all_well(on_all(2, 1, [&](Rank& rank) {
    const auto x = rank.place_bytes(matrix(rank.place.rank, dtype, {3, 16}));
    const auto y = rank.place_bytes(matrix(5, dtype, {3, 16}));
    const auto part = [&](std::byte* data) {
      TensorView view(data + 4 * size_of(dtype), dtype, Shape{3, 8});
      view.row_stride = 16;
      return view;
    };
    rank.comm->all_reduce(part(x.get()), part(y.get()));
    const Tensor sum = rank.fetch(y, dtype, {3, 16});
    for (int64_t i = 0; i < 48; ++i) {
      const bool inside = i % 16 >= 4 && i % 16 < 12;
      ASSERT_EQ(get(sum, i), inside ? sum_of(2, i) : value_of(5, i)) << i;
    }
  }));
}

TEST_P(Nccl, ReduceScatter) {
  if (!can_run(3)) GTEST_SKIP() << "three GPUs and NCCL";
  const DType dtype = GetParam();
  expect_all_well(on_all(3, 1, [&](Rank& rank) {
    const int64_t index = rank.place.rank;
    for (const int64_t rows : {6, 7, 1}) {  // 7 are 3, 3 and 1; 1 is 1, 0 and 0
      const int64_t each = (rows + 2) / 3;
      const auto x = rank.place_bytes(matrix(index, dtype, {rows, 12}));
      const auto y = rank.place_bytes(matrix(9, dtype, {rows, 12}));
      rank.comm->reduce_scatter(TensorView(x.get(), dtype, {rows, 12}),
                                TensorView(y.get(), dtype, {each, 12}), Axis::kRows);
      const Tensor sum = rank.fetch(y, dtype, {each, 12});
      for (int64_t i = 0; i < each * 12; ++i) {
        const int64_t at = index * each * 12 + i;
        ASSERT_EQ(get(sum, i), at < rows * 12 ? sum_of(3, at) : 0.0f) << rows << ' ' << i;
      }
      rank.comm->reduce_scatter(TensorView(x.get(), dtype, {rows, 12}),
                                TensorView(y.get(), dtype, {rows, 4}), Axis::kColumns);
      const Tensor columns = rank.fetch(y, dtype, {rows, 4});
      for (int64_t i = 0; i < rows * 4; ++i)
        ASSERT_EQ(get(columns, i), sum_of(3, i / 4 * 12 + index * 4 + i % 4)) << rows << ' ' << i;
    }
  }));
}

// Bytes of any type; FP8 codes among them.
TEST(NcclMoves, AllGather) {
  if (!can_run(3)) GTEST_SKIP() << "three GPUs and NCCL";
  constexpr DType kCodes = DType::kE4M3;
  expect_all_well(on_all(3, 1, [&](Rank& rank) {
    const auto code = [](int64_t of, int64_t i) {
      return static_cast<std::byte>(37 * of + 5 * i + 1);
    };
    Tensor x(kCodes, {2, 4});
    for (int64_t i = 0; i < 8; ++i) x.data()[i] = code(rank.place.rank, i);
    const auto from = rank.place_bytes(x);
    const auto to = rank.allocate(6 * 12);
    for (const int64_t rows : {6, 5, 3}) {
      rank.comm->all_gather(TensorView(from.get(), kCodes, {2, 4}),
                            TensorView(to.get(), kCodes, {rows, 4}), Axis::kRows);
      const Tensor y = rank.fetch(to, kCodes, {rows, 4});
      for (int64_t i = 0; i < rows * 4; ++i)
        ASSERT_EQ(y.data()[i], code(i / 8, i % 8)) << rows << ' ' << i;
    }
    for (const int64_t rows : {2, 1}) {
      rank.comm->all_gather(TensorView(from.get(), kCodes, {rows, 4}),
                            TensorView(to.get(), kCodes, {rows, 12}), Axis::kColumns);
      const Tensor y = rank.fetch(to, kCodes, {rows, 12});
      for (int64_t i = 0; i < rows * 12; ++i)
        ASSERT_EQ(y.data()[i], code(i % 12 / 4, i / 12 * 4 + i % 4)) << rows << ' ' << i;
    }
  }));
}

TEST(NcclMoves, StagesOfTwoSumAndSend) {
  if (!can_run(4)) GTEST_SKIP() << "four GPUs and NCCL";
  expect_all_well(on_all(2, 2, [&](Rank& rank) {
    const Shape shape = {3, 8};
    const auto x = rank.place_bytes(matrix(rank.place.index(), DType::kF32, shape));
    const auto y = rank.place_bytes(matrix(7, DType::kF32, shape));
    const TensorView from(x.get(), DType::kF32, shape), to(y.get(), DType::kF32, shape);
    if (rank.place.is_first_stage()) {
      rank.comm->all_reduce(from, to);
      return rank.comm->send(to);
    }
    rank.comm->recv(from);
    rank.comm->all_reduce(from, to);
    const Tensor sum = rank.fetch(y, DType::kF32, shape);
    for (int64_t i = 0; i < 24; ++i) ASSERT_EQ(get(sum, i), 2 * sum_of(2, i)) << i;
  }));
}

// Both forms are the sum, then add_rms_norm; uneven rows, a whole residual and the rank's own part.
TEST(NcclReduceNorm, WholeAndShardedGiveTheSameBytes) {
  if (!can_run(2)) GTEST_SKIP() << "two GPUs and NCCL";
  constexpr DType kType = DType::kBF16;
  const Shape shape = {5, 16};
  expect_all_well(on_all(2, 1, [&](Rank& rank) {
    auto& comm = dynamic_cast<cuda::DeviceCommunicator&>(*rank.comm);
    const cuda::Launch where{.stream = static_cast<cudaStream_t>(rank.device->stream())};
    const auto residual = rank.place_bytes(matrix(3, kType, shape));
    const auto weight = rank.place_bytes(matrix(4, kType, {16}));
    const RmsNormParams params{1e-5f};
    const auto run = [&](bool sharded, const TensorView& before, std::byte* sum, std::byte* y) {
      const auto x = rank.place_bytes(matrix(rank.place.rank, kType, shape));
      const AddRmsNormArgs norm{.x = TensorView(x.get(), kType, shape),
                                .residual = before,
                                .weight = TensorView(weight.get(), kType, {16}),
                                .sum = TensorView(sum, kType, sharded ? Shape{3, 16} : shape),
                                .y = TensorView(y, kType, shape),
                                .params = &params};
      if (sharded)
        comm.sharded_add_rms_norm(norm, where);
      else
        comm.all_reduce_add_rms_norm(norm, /*pulls=*/false, where);
      rank.device->synchronize();
    };
    const auto allocate = [&] { return rank.allocate(5 * 16 * 2); };
    const auto sum = allocate(), y = allocate(), own_sum = allocate(), own_y = allocate();
    const TensorView whole(residual.get(), kType, shape);
    const int64_t first = 3 * rank.place.rank, rows = rank.place.rank == 0 ? 3 : 2;
    TensorView before = whole, own_before = whole;
    for (int step = 0; step < 2; ++step) {  // the second time the residual is sharded
      run(false, before, sum.get(), y.get());
      run(true, own_before, own_sum.get(), own_y.get());
      const Tensor expected = rank.fetch(sum, kType, shape), normed = rank.fetch(y, kType, shape);
      const Tensor part = rank.fetch(own_sum, kType, {rows, 16});
      const Tensor gathered = rank.fetch(own_y, kType, shape);
      for (int64_t i = 0; i < rows * 16; ++i)
        ASSERT_EQ(get(part, i), get(expected, first * 16 + i)) << step << ' ' << i;
      ASSERT_EQ(std::memcmp(gathered.data(), normed.data(), 5 * 16 * 2), 0) << step;
      before = TensorView(sum.get(), kType, shape);
      own_before = TensorView(own_sum.get(), kType, {3, 16});
      for (int64_t i = 0; i < 80 && step == 0; ++i)
        ASSERT_EQ(get(expected, i), sum_of(2, i) + value_of(3, i)) << i;
    }
  }));
}

TEST(NcclGraphs, AreReplayed) {
  if (!can_run(2)) GTEST_SKIP() << "two GPUs and NCCL";
  expect_all_well(on_all(2, 1, [&](Rank& rank) {
    const Shape shape = {2, 8};
    const auto x = rank.place_bytes(matrix(rank.place.rank, DType::kF32, shape));
    const auto y = rank.allocate(64);
    const TensorView from(x.get(), DType::kF32, shape), to(y.get(), DType::kF32, shape);
    // x = the sum of all x, twice a replay.
    const auto work = [&] {
      rank.comm->all_reduce(from, to);
      rank.comm->all_reduce(to, from);
    };
    work();
    const auto graph = rank.device->capture(work);
    for (int replay = 0; replay < 20; ++replay) {
      rank.comm->check();
      graph->launch();
      rank.comm->end_step();
    }
    const Tensor sum = rank.fetch(x, DType::kF32, shape);
    const auto scale = static_cast<float>(std::pow(2.0, 2 * 21 - 1));
    for (int64_t i = 0; i < 16; ++i) ASSERT_EQ(get(sum, i), scale * sum_of(2, i)) << i;
  }));
}

// Nobody waits for a rank that left while its calls were under way.
TEST(NcclFaults, ARankThatEndsEndsAll) {
  if (!can_run(3)) GTEST_SKIP() << "three GPUs and NCCL";
  const auto start = std::chrono::steady_clock::now();
  const auto errors = on_all(3, 1, [&](Rank& rank) {
    const auto x = rank.place_bytes(matrix(rank.place.rank, DType::kF32, {1, 4}));
    const auto y = rank.allocate(16);
    if (rank.place.rank == 1) throw Error(ErrorCategory::kDevice, "left");
    rank.comm->all_reduce(TensorView(x.get(), DType::kF32, {1, 4}),
                          TensorView(y.get(), DType::kF32, {1, 4}));
  });
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(10'000));
  EXPECT_EQ(errors[1], "left");
  for (const size_t rank : {0u, 2u})
    EXPECT_EQ(errors[rank], "rank 1: it ended before the work was done");
}

TEST(NcclFaults, ARankThatDoesNotCallIsNamed) {
  if (!can_run(3)) GTEST_SKIP() << "three GPUs and NCCL";
  const auto errors = on_all(
      3, 1,
      [](Rank& rank) {
        const auto x = rank.place_bytes(matrix(rank.place.rank, DType::kF32, {1, 4}));
        const auto y = rank.allocate(16);
        const TensorView from(x.get(), DType::kF32, {1, 4}), to(y.get(), DType::kF32, {1, 4});
        rank.comm->all_reduce(from, to);
        rank.device->synchronize();
        if (rank.place.rank != 2) rank.comm->all_reduce(to, from);
        while (rank.processes->failure().empty()) std::this_thread::sleep_for(milliseconds(5));
      },
      milliseconds(1000));
  for (const std::string& error : errors)
    EXPECT_EQ(error, "rank 2 stalled: no rank got on for 1000 ms");
}

std::atomic<int> broken_link = 0;
int comm_error(cuda::NcclComm, int* result) {
  *result = broken_link;
  return cuda::kNcclSuccess;
}
std::atomic<int> aborted = 0;
int comm_abort(cuda::NcclComm) {
  ++aborted;
  return cuda::kNcclSuccess;
}

// What NCCL finds out between calls: ncclRemoteError and its like.
TEST(NcclFaults, AnErrorBetweenCallsEndsAll) {
  if (!can_run(2)) GTEST_SKIP() << "two GPUs and NCCL";
  broken_link = 0;
  aborted = 0;
  cuda::NcclApi api = cuda::nccl_api();
  api.comm_error = comm_error;
  api.comm_abort = comm_abort;
  api.comm_init = [](cuda::NcclComm* comm, int, cuda::NcclId, int, cuda::NcclConfig*) {
    *comm = reinterpret_cast<cuda::NcclComm>(comm);
    return cuda::kNcclSuccess;
  };
  api.error_name = [](int) { return "remote process exited or there was a network error"; };
  const auto errors = on_all(2, 1, [&](Rank& rank) {
    rank.comm = nullptr;
    const auto links = std::make_shared<cuda::NcclLinks>(
        api, rank.processes, rank.place, 0, static_cast<cudaStream_t>(rank.device->stream()));
    rank.comm = std::make_shared<cuda::NcclCommunicator>(
        rank.processes, links, rank.place, static_cast<cudaStream_t>(rank.device->stream()));
    rank.processes->agree("all are here", "");
    broken_link = 6;
    for (int i = 0; i < 500 && rank.processes->failure().empty(); ++i)
      std::this_thread::sleep_for(milliseconds(10));
    rank.comm->check();
  });
  for (const std::string& error : errors)
    EXPECT_THAT(error, HasSubstr("NCCL: remote process exited or there was a network error"));
  EXPECT_EQ(aborted, 2);
}

TEST(NcclLibraryTest, SaysItsVersion) {
  EXPECT_EQ(cuda::nccl_version_text(22103), "2.21.3");
  EXPECT_FALSE(nccl_library().text.empty());
}

}  // namespace
}  // namespace octavo
