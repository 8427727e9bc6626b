// Ranks as processes: they meet, talk, and none waits for one that ended, stalled or never came.
// SPDX-License-Identifier: Apache-2.0
#include "comm/process_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <random>
#include <thread>

#include "comm/connection.h"
#include "comm/free_port.h"
#include "core/error.h"

namespace octavo {
namespace {

using std::chrono::milliseconds;
using testing::AnyOf;
using testing::Each;
using testing::HasSubstr;

constexpr ProcessGroupOptions kSoon{.connect_limit = milliseconds(700),
                                    .stall_limit = milliseconds(700)};
constexpr ProcessGroupOptions kPatient{.connect_limit = milliseconds(20'000)};

RankEnvironment environment(int64_t rank, int64_t size, int port) {
  return {.rank = rank, .size = size, .local_rank = rank, .host = "127.0.0.1", .port = port};
}

// What each rank, a thread of its own, threw; those that `skip` never come.
std::vector<std::string> on_all(int64_t size, int port, const ProcessGroupOptions& options,
                                const std::function<void(ProcessGroup&)>& work,
                                const std::vector<int64_t>& skip = {}) {
  std::vector<std::string> errors(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < size; ++rank) {
    if (std::ranges::find(skip, rank) != skip.end()) continue;
    threads.emplace_back([&, rank] {
      try {
        ProcessGroup group(environment(rank, size, port), options);
        work(group);
      } catch (const Error& error) {
        errors[static_cast<size_t>(rank)] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

// Rank 0 says some words; the others add up their lengths.
void talk(ProcessGroup& group) {
  const std::string sum =
      group.exchange(std::to_string(group.rank()), [&](const std::vector<std::string>& all) {
        std::string joined;
        for (const std::string& one : all) joined += one;
        return joined;
      });
  EXPECT_EQ(sum, std::string("0123").substr(0, static_cast<size_t>(group.size())));
  group.agree("version", "7");
  const std::string large(3 << 20, 'x');  // more than a socket holds
  if (group.leads()) {
    group.publish("one");
    group.publish(large);
    return group.finish();
  }
  EXPECT_EQ(group.next(), "one");
  EXPECT_EQ(group.next(), large);
  EXPECT_EQ(group.next(), std::nullopt);
  group.finish();
}

TEST(ProcessGroup, TwoTalk) { EXPECT_THAT(on_all(2, free_port(), kPatient, talk), Each("")); }

TEST(ProcessGroup, FourTalk) { EXPECT_THAT(on_all(4, free_port(), kPatient, talk), Each("")); }

TEST(ProcessGroup, FourProcessesTalk) {
  const int port = free_port();
  std::vector<pid_t> children;
  for (int64_t rank = 1; rank < 4; ++rank) {
    const pid_t child = fork();
    if (child == 0) {
      try {
        ProcessGroup group(environment(rank, 4, port), kPatient);
        talk(group);
      } catch (const Error&) {
        _exit(7);
      }
      _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    children.push_back(child);
  }
  ProcessGroup group(environment(0, 4, port), kPatient);
  talk(group);
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
}

TEST(ProcessGroup, WhoNeverComesIsNamedByAll) {
  const auto errors = on_all(4, free_port(), kSoon, talk, /*skip=*/{2});
  for (const size_t rank : {0u, 1u, 3u})
    EXPECT_THAT(errors[rank], HasSubstr("rank 2 did not come within 700 ms")) << rank;
}

TEST(ProcessGroup, RankZeroNeverComes) {
  const auto errors = on_all(2, free_port(), kSoon, talk, /*skip=*/{0});
  EXPECT_THAT(errors[1], HasSubstr("rank 0 did not come within 700 ms"));
}

TEST(ProcessGroup, SizesThatDiffer) {
  const int port = free_port();
  std::string other;
  std::thread thread([&] {
    try {
      ProcessGroup group(environment(1, 4, port), kPatient);
    } catch (const Error& error) {
      other = error.what();
    }
  });
  try {
    ProcessGroup group(environment(0, 2, port), kPatient);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "rank 1 counts 4 ranks, rank 0 2");
  }
  thread.join();
  EXPECT_EQ(other, "rank 1 counts 4 ranks, rank 0 2");
}

TEST(ProcessGroup, TheSameNumberTwice) {
  const int port = free_port();
  std::vector<std::string> errors(3);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      try {
        ProcessGroup group(environment(i == 0 ? 0 : 1, 3, port), kSoon);
      } catch (const Error& error) {
        errors[i] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(errors, Each(HasSubstr("rank 1 came twice")));
}

// Strangers before, while and after the ranks come.
TEST(ProcessGroup, GarbageAtThePortIsSentAway) {
  const int port = free_port();
  std::atomic<bool> stop = false;
  std::thread stranger([&] {
    std::mt19937 random(7);
    std::vector<Socket> silent;
    while (!stop) {
      Socket socket = connect_to("127.0.0.1", port, 100);
      if (!socket.is_open()) continue;
      std::string bytes(random() % 64, '\0');
      for (char& byte : bytes) byte = static_cast<char>(random());
      const std::string head = random() % 2 == 0 ? "" : "OCT1";
      bytes = head + bytes;
      if (send(socket.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) continue;
      if (silent.size() < 20) silent.push_back(std::move(socket));
      std::this_thread::sleep_for(milliseconds(5));
    }
  });
  const auto errors = on_all(2, port, kPatient, [](ProcessGroup& group) { talk(group); });
  stop = true;
  stranger.join();
  EXPECT_THAT(errors, Each(""));
}

TEST(ProcessGroup, AnotherProgramAtThePort) {
  const int port = free_port();
  const Socket listener = listen_at("127.0.0.1", port);
  std::thread server([&] {
    Socket client;
    while (!client.is_open()) client = accept_from(listener);
    const std::string text = "HTTP/1.1 400 Bad Request\r\n\r\n";
    send(client.fd(), text.data(), text.size(), MSG_NOSIGNAL);
    std::this_thread::sleep_for(milliseconds(300));
  });
  try {
    ProcessGroup group(environment(1, 2, port), kSoon);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("it sent what is no message of a rank"));
    EXPECT_THAT(error.what(), HasSubstr("MASTER_PORT"));
  }
  server.join();
}

TEST(ProcessGroup, APortThatIsTaken) {
  const int port = free_port();
  const Socket listener = listen_at("127.0.0.1", port);
  try {
    ProcessGroup group(environment(0, 2, port), kSoon);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kEnvironment);
    EXPECT_THAT(error.what(), HasSubstr("MASTER_PORT names another port"));
  }
}

// What a rank throws ends the others where they wait, whoever it is.
TEST(ProcessGroup, WhoFailsIsNamedByAll) {
  for (const int64_t failing : {int64_t{0}, int64_t{2}}) {
    const auto errors = on_all(4, free_port(), kPatient, [&](ProcessGroup& group) {
      if (group.rank() == failing) {
        group.fail("no memory");
        group.check();
      }
      group.exchange("", [](const auto&) { return std::string(); });
    });
    EXPECT_THAT(errors, Each(fmt::format("rank {}: no memory", failing)));
  }
}

TEST(ProcessGroup, WhoDisagreesIsNamed) {
  const auto errors = on_all(4, free_port(), kPatient, [](ProcessGroup& group) {
    group.agree("NCCL version", group.rank() == 3 ? "22000" : "22100");
  });
  EXPECT_THAT(errors, Each("NCCL version: rank 0 has 22100, rank 3 has 22000"));
}

void end_while_others_wait(int64_t who) {
  const auto errors = on_all(3, free_port(), kPatient, [&](ProcessGroup& group) {
    if (group.rank() == who) return;
    group.exchange("", [](const auto&) { return std::string(); });
  });
  for (int64_t rank = 0; rank < 3; ++rank) {
    if (rank == who) continue;
    EXPECT_EQ(errors[static_cast<size_t>(rank)],
              fmt::format("rank {}: it ended before the work was done", who));
  }
}

TEST(ProcessGroup, WhoEndsTooSoonIsNamed) {
  end_while_others_wait(0);
  end_while_others_wait(1);
}

// A process that is killed, and one that is stopped, while rank 0 waits for it.
void lose_process(int signal, const std::string& expected) {
  const int port = free_port();
  const ProcessGroupOptions options{.connect_limit = milliseconds(20'000),
                                    .stall_limit = milliseconds(1000)};
  const pid_t child = fork();
  if (child == 0) {
    try {
      ProcessGroup group(environment(1, 2, port), options);
      std::this_thread::sleep_for(milliseconds(30'000));
    } catch (...) {
    }
    _exit(0);
  }
  ProcessGroup group(environment(0, 2, port), options);
  kill(child, signal);
  const auto start = std::chrono::steady_clock::now();
  try {
    group.exchange("", [](const auto&) { return std::string(); });
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), expected);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(10'000));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

TEST(ProcessGroup, AProcessIsKilled) {
  lose_process(SIGKILL, "rank 1: it ended before the work was done");
}

TEST(ProcessGroup, AProcessIsStopped) {
  lose_process(SIGSTOP, "rank 1 stalled: nothing was heard of it for 1000 ms");
}

// A device whose progress the test sets.
struct FakeWatch final : RankWatch {
  RankProgress progress() override { return {.asked = asked, .done = done}; }
  std::string failure() override { return broken ? "a link failed" : ""; }
  void end() noexcept override { ended = true; }
  std::atomic<uint64_t> asked = 0, done = 0;
  std::atomic<bool> broken = false, ended = false;
};

std::vector<std::string> watched(const std::function<void(int64_t, FakeWatch&)>& set,
                                 milliseconds for_so_long) {
  std::atomic<int> ended = 0;
  auto errors = on_all(3, free_port(), kSoon, [&](ProcessGroup& group) {
    const auto watch = std::make_shared<FakeWatch>();
    group.set_watch(watch);
    const auto end = std::chrono::steady_clock::now() + for_so_long;
    while (std::chrono::steady_clock::now() < end && group.failure().empty()) {
      set(group.rank(), *watch);
      std::this_thread::sleep_for(milliseconds(10));
    }
    const std::string failure = group.failure();
    for (int i = 0; i < 100 && !failure.empty() && !watch->ended; ++i)
      std::this_thread::sleep_for(milliseconds(10));
    ended += watch->ended ? 1 : 0;
    if (failure.empty()) {
      group.agree("the end", "");  // nobody leaves before the others
      group.finish();
    }
    group.set_watch(nullptr);
    group.check();
  });
  EXPECT_EQ(ended, errors[0].empty() ? 0 : 3);
  return errors;
}

TEST(ProcessGroup, ADeviceThatFailsEndsAll) {
  const auto errors =
      watched([](int64_t rank, FakeWatch& watch) { watch.broken = rank == 2; }, milliseconds(5000));
  EXPECT_THAT(errors, Each("rank 2: a link failed"));
}

TEST(ProcessGroup, TheRankThatAskedForLessStalled) {
  const auto errors = watched(
      [](int64_t rank, FakeWatch& watch) {
        watch.done = 4;
        watch.asked = rank == 1 ? 4 : 5;
      },
      milliseconds(5000));
  EXPECT_THAT(errors, Each("rank 1 stalled: no rank got on for 700 ms"));
}

TEST(ProcessGroup, ADeviceThatStandsStillStalled) {
  const auto errors = watched(
      [](int64_t rank, FakeWatch& watch) {
        watch.asked = 9;
        watch.done = rank == 2 ? 3 : 4;
      },
      milliseconds(5000));
  EXPECT_THAT(errors, Each("rank 2 stalled: no rank got on for 700 ms"));
}

TEST(ProcessGroup, WhoGetsOnIsWaitedFor) {
  const auto errors = watched(
      [](int64_t rank, FakeWatch& watch) {
        watch.asked = 1'000'000;
        if (rank == 0) ++watch.done;  // the others wait all the time
      },
      milliseconds(2000));
  EXPECT_THAT(errors, Each(""));
}

TEST(ProcessGroup, IdleIsNoStall) {
  const auto errors =
      watched([](int64_t, FakeWatch& watch) { watch.asked = watch.done = 3; }, milliseconds(1500));
  EXPECT_THAT(errors, Each(""));
}

}  // namespace
}  // namespace octavo
