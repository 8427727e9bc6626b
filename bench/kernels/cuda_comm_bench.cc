// All-reduce between the GPUs of this machine: time a call, and replays with ranks that come late.
// SPDX-License-Identifier: Apache-2.0
//
// cuda_comm_bench [RANKS [REPLAYS]]: [tokens, 8192] bfloat16 in CUDA graphs, pushed whole and
// shared; then REPLAYS replays of a graph of two layers with random delays, whose bytes must not
// change, and of one of user buffers; then sums with the norm behind them, in every way. Prints one
// JSON object.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>
#include <vector>

#include "backend/cuda/comm/peer_group.h"
#include "backend/cuda/cuda_check.h"
#include "backend/cuda/cuda_device.h"
#include "backend/cuda/kernels.h"

namespace octavo {
namespace {

constexpr int64_t kHidden = 8192;
constexpr int64_t kMostTokens = 8192;
constexpr int64_t kRowBytes = kHidden * 2;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class CommBench {
 public:
  explicit CommBench(int64_t ranks) : barrier_(ranks) {
    for (int64_t rank = 0; rank < ranks; ++rank) {
      devices_.push_back(open_cuda_device(static_cast<int>(rank)));
      x_.push_back(devices_.back()->allocate(kMostTokens * kRowBytes));
      y_.push_back(devices_.back()->allocate(kMostTokens * kRowBytes));
    }
    fill();
  }

  void open(int64_t push_bytes, int blocks) {
    comms_ = open_peer_group(
        devices_, {.tp_size = std::ssize(devices_), .push_bytes = push_bytes, .blocks = blocks});
  }

  // Microseconds a call, by the slowest rank; the median of several measurements.
  double time(int64_t tokens) {
    return time_calls(tokens, [&](int64_t rank) { all_reduce(rank, x_, y_, tokens); });
  }

  double time_calls(int64_t tokens, const std::function<void(int64_t)>& call) {
    const int calls = tokens <= 64 ? 50 : 10, graphs = tokens <= 64 ? 10 : 2;
    std::vector<double> seconds;
    std::vector<std::unique_ptr<DeviceGraph>> captured(devices_.size());
    on_all([&](int64_t rank) {
      captured[rank] = device(rank).capture([&] {
        for (int i = 0; i < calls; ++i) call(rank);
      });
      captured[rank]->launch();
    });
    for (int repeat = 0; repeat < 7; ++repeat) {
      std::vector<double> took(devices_.size());
      on_all([&](int64_t rank) {
        barrier_.arrive_and_wait();
        const double start = now();
        for (int i = 0; i < graphs; ++i) captured[rank]->launch();
        device(rank).synchronize();
        took[rank] = now() - start;
      });
      seconds.push_back(*std::max_element(took.begin(), took.end()));
    }
    for (const auto& comm : comms_) comm->check();
    std::nth_element(seconds.begin(), seconds.begin() + 3, seconds.end());
    return 1e6 * seconds[3] / (calls * graphs);
  }

  // How a sum of ranks and the residual add, norm and quantize behind it are made: two calls, one
  // by its own choice, one that reads user buffers, one whose residual is sharded.
  enum class NormWay { kApart, kFused, kPulled, kSharded };

  double time_norm(int64_t tokens, NormWay way) {
    const auto reduce = find("cuda_all_reduce"), norm = find("cuda_add_rms_norm"),
               both = find("cuda_all_reduce_add_rms_norm");
    const int64_t ranks = std::ssize(devices_);
    return time_calls(tokens, [&](int64_t rank) {
      const LaunchContext context{.stream = device(rank).stream(),
                                  .programmatic_launch = true,
                                  .tactic = way == NormWay::kPulled ? "pull" : "",
                                  .comm = comms_[rank].get()};
      const TensorView x = view(x_[rank].get(), tokens), y = view(y_[rank].get(), tokens);
      const TensorView residual = view(x_[rank].get() + (kMostTokens / 2) * kRowBytes, tokens);
      const TensorView weight(x_[rank].get(), DType::kBF16, {kHidden});
      const TensorView scale(x_[rank].get(), DType::kF32, {1});
      const TensorView sum = view(y_[rank].get() + (kMostTokens / 4) * kRowBytes, tokens);
      const TensorView codes(y_[rank].get() + (kMostTokens / 2) * kRowBytes, DType::kE4M3,
                             {tokens, kHidden});
      const auto run = [&](const Kernel& kernel, std::vector<TensorView> in,
                           std::vector<TensorView> out, const OpParams& params) {
        kernel.run({in, out, &params}, context);
      };
      if (way == NormWay::kSharded) {
        const int64_t own = (tokens + ranks - 1) / ranks;
        return run(*both, {x, view(residual.data, own), weight, scale},
                   {view(sum.data, own), codes}, ReduceNormParams{.ranks = ranks, .sharded = true});
      }
      if (way != NormWay::kApart) {
        return run(*both, {x, residual, weight, scale}, {sum, codes},
                   ReduceNormParams{.ranks = ranks, .user_buffer = way == NormWay::kPulled});
      }
      run(*reduce, {x}, {y}, GroupParams{.ranks = ranks});
      run(*norm, {y, residual, weight, scale}, {sum, codes}, RmsNormParams{});
    });
  }

  // Replays of two layers whose results are not those of the first one.
  int64_t wrong_replays(int replays) {
    std::atomic<int64_t> wrong = 0;
    std::vector<std::vector<char>> first(devices_.size());
    on_all([&](int64_t rank) {
      Delays delays{std::mt19937(static_cast<unsigned>(rank))};
      auto* const stream = static_cast<cudaStream_t>(device(rank).stream());
      const auto delay = [&] {
        OCTAVO_CUDA_CHECK(cudaLaunchHostFunc(stream, Delays::wait, &delays));
      };
      const auto z = device(rank).allocate(64 * kRowBytes);
      const auto layer = [&](std::byte* from, std::byte* to, int64_t tokens) {
        comm(rank).all_reduce(view(from, tokens), view(to, tokens));
      };
      const auto graph = device(rank).capture([&] {
        delay();
        layer(x_[rank].get(), y_[rank].get(), 64);
        layer(y_[rank].get(), z.get(), 1);
        delay();
        layer(y_[rank].get(), z.get(), 64);
        layer(z.get(), y_[rank].get(), 1);
      });
      const int64_t bytes = 64 * kRowBytes;
      const auto host = device(rank).allocate_staging(bytes);
      for (int replay = 0; replay < replays; ++replay) {
        graph->launch();
        if (replay % 10 != 0 && replay + 1 != replays) continue;
        device(rank).download(host.get(), z.get(), bytes);
        device(rank).synchronize();
        const char* const got = reinterpret_cast<const char*>(host.get());
        if (first[rank].empty()) first[rank].assign(got, got + bytes);
        wrong += std::memcmp(first[rank].data(), got, static_cast<size_t>(bytes)) != 0;
      }
    });
    for (const auto& one : first) wrong += one != first[0];
    for (const auto& comm : comms_) comm->check();
    return wrong;
  }

  // Replays in which ranks, each late at random, write user buffers in turns and sum what all have
  // written: how many have other bytes than the first one, or than the first rank.
  int64_t wrong_user_buffer_replays(int replays) {
    constexpr int64_t kTokens = 48, kBytes = kTokens * kRowBytes;
    constexpr int kSums = 6;
    const auto both = find("cuda_all_reduce_add_rms_norm");
    const int64_t ranks = std::ssize(devices_);
    std::atomic<int64_t> wrong = 0;
    std::vector<std::vector<char>> first(devices_.size());
    on_all([&](int64_t rank) {
      Delays delays{std::mt19937(static_cast<unsigned>(rank + 77))};
      auto* const stream = static_cast<cudaStream_t>(device(rank).stream());
      const auto buffers = device(rank).allocate(2 * kBytes),
                 results = device(rank).allocate((kSums + 1) * kBytes),
                 zeros = device(rank).allocate(kBytes);
      device(rank).zero(zeros.get(), kBytes);
      std::byte* const from = x_[rank].get();
      const auto graph = device(rank).capture([&] {
        for (int i = 0; i < kSums; ++i) {
          OCTAVO_CUDA_CHECK(cudaLaunchHostFunc(stream, Delays::wait, &delays));
          std::byte* const buffer = buffers.get() + i % 2 * kBytes;
          device(rank).copy(buffer, from + (i + rank) * kBytes, kBytes);
          const OpParams params = ReduceNormParams{.ranks = ranks, .user_buffer = true};
          const TensorView in[] = {view(buffer, kTokens),
                                   view(zeros.get(), kTokens),
                                   TensorView(zeros.get(), DType::kBF16, {kHidden}),
                                   {}};
          const TensorView out[] = {view(results.get() + i * kBytes, kTokens),
                                    view(results.get() + kSums * kBytes, kTokens)};
          both->run({in, out, &params},
                    {.stream = stream, .tactic = "pull", .comm = comms_[rank].get()});
        }
      });
      const int64_t bytes = (kSums + 1) * kBytes;
      const auto host = device(rank).allocate_staging(bytes);
      for (int replay = 0; replay < replays; ++replay) {
        graph->launch();
        if (replay % 10 != 0 && replay + 1 != replays) continue;
        device(rank).download(host.get(), results.get(), bytes);
        device(rank).synchronize();
        const char* const got = reinterpret_cast<const char*>(host.get());
        if (first[rank].empty()) first[rank].assign(got, got + bytes);
        wrong += std::memcmp(first[rank].data(), got, static_cast<size_t>(bytes)) != 0;
      }
    });
    for (const auto& one : first) wrong += one != first[0];
    for (const auto& comm : comms_) comm->check();
    return wrong;
  }

 private:
  static std::span<const Kernel>::iterator find(std::string_view name) {
    return std::ranges::find(cuda_kernels(), name, &Kernel::name);
  }

  using Buffers = std::vector<std::shared_ptr<std::byte[]>>;

  struct Delays {
    std::mt19937 random;
    static void wait(void* self) {
      auto& random = static_cast<Delays*>(self)->random;
      const auto end = now() + 1e-6 * (random() % (random() % 97 == 0 ? 300 : 30));
      while (now() < end) {
      }
    }
  };

  static TensorView view(std::byte* data, int64_t tokens) {
    return {data, DType::kBF16, {tokens, kHidden}};
  }
  Device& device(int64_t rank) { return *devices_[rank]; }
  Communicator& comm(int64_t rank) { return *comms_[rank]; }
  void all_reduce(int64_t rank, const Buffers& from, const Buffers& to, int64_t tokens) {
    comm(rank).all_reduce(view(from[rank].get(), tokens), view(to[rank].get(), tokens));
  }

  void on_all(const std::function<void(int64_t)>& work) {
    std::vector<std::thread> threads;
    for (int64_t rank = 0; rank < std::ssize(devices_); ++rank) {
      threads.emplace_back([&, rank] {
        device(rank).activate();
        work(rank);
        device(rank).synchronize();
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  // Random numbers of moderate size.
  void fill() {
    std::mt19937 random(5);
    std::vector<uint16_t> values(static_cast<size_t>(kHidden) * 64);
    for (size_t rank = 0; rank < devices_.size(); ++rank) {
      for (uint16_t& value : values)
        value = static_cast<uint16_t>((random() & 0x8000u) | 0x3C00u | (random() & 0x03FFu));
      for (int64_t row = 0; row < kMostTokens; row += 64) {
        devices_[rank]->upload(x_[rank].get() + row * kRowBytes,
                               reinterpret_cast<const std::byte*>(values.data()), 64 * kRowBytes);
      }
      devices_[rank]->synchronize();
    }
  }

  std::vector<std::shared_ptr<Device>> devices_;
  std::vector<std::shared_ptr<Communicator>> comms_;
  Buffers x_, y_;
  std::barrier<> barrier_;
};

void run(int64_t ranks, int replays) {
  CommBench bench(ranks);
  nlohmann::ordered_json report = {{"ranks", ranks}, {"hidden", kHidden}};
  constexpr int64_t kAlwaysPush = int64_t{16} << 20;
  const auto measure = [&](const char* way, int64_t push_bytes, int blocks,
                           std::initializer_list<int64_t> sizes) {
    bench.open(push_bytes, blocks);
    for (const int64_t tokens : sizes) {
      report["all_reduce"].push_back(
          {{"way", way}, {"blocks", blocks}, {"tokens", tokens}, {"us", bench.time(tokens)}});
      fmt::print(stderr, "{}\n", report["all_reduce"].back().dump());
    }
  };
  for (const int blocks : {32, 64, 128})
    measure("push", kAlwaysPush, blocks, {1, 2, 4, 8, 16, 32, 64, 128, 512});
  for (const int blocks : {32, 64, 128})
    measure("share", 0, blocks, {1, 8, 16, 32, 64, 128, 256, 512, 2048, 8192});
  bench.open(256 << 10, 128);  // rows alone are pushed, 64 of them are shared
  report["replays"] = {{"count", replays}, {"wrong", bench.wrong_replays(replays)}};
  bench.open(512 << 10, 128);
  report["user_buffer_replays"] = {{"count", replays},
                                   {"wrong", bench.wrong_user_buffer_replays(replays)}};
  for (const int64_t tokens : {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048}) {
    using Way = CommBench::NormWay;
    report["reduce_norm"].push_back({{"tokens", tokens},
                                     {"apart_us", bench.time_norm(tokens, Way::kApart)},
                                     {"fused_us", bench.time_norm(tokens, Way::kFused)},
                                     {"pulled_us", bench.time_norm(tokens, Way::kPulled)},
                                     {"sharded_us", bench.time_norm(tokens, Way::kSharded)}});
    fmt::print(stderr, "{}\n", report["reduce_norm"].back().dump());
  }
  fmt::print("{}\n", report.dump());
}

}  // namespace
}  // namespace octavo

int main(int argc, char** argv) {
  try {
    octavo::run(argc > 1 ? std::stoll(argv[1]) : 2, argc > 2 ? std::stoi(argv[2]) : 10000);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
