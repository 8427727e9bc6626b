// Processes that share a model, as torchrun and mpirun start them: the whole program, on GPUs that
// NCCL connects, or on the emulated one.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "backend/cuda/comm/nccl_group.h"
#include "backend/cuda/cuda_device.h"
#include "comm/free_port.h"
#include "pipeline/pipeline_case.h"

namespace octavo {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::string kProgram = OCTAVO_BINARY_DIR "/octavo";

bool can_run(int64_t ranks) {
  const auto devices = cuda_devices();
  if (devices.empty() || !nccl_library().found || !std::filesystem::exists(kProgram)) return false;
  return std::ssize(devices) >= ranks || devices.front().name == "Emulated GPU";
}
#define OCTAVO_REQUIRE_RANKS(ranks) \
  if (!can_run(ranks)) GTEST_SKIP() << "NCCL and " << ranks << " GPUs are needed"

struct Process {
  pid_t pid = -1;
  std::filesystem::path out, err;

  // Its exit code; the negative signal that ended it.
  int wait() const {
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
};

Process start(int64_t rank, const std::vector<std::string>& arguments,
              const std::vector<std::string>& variables) {
  static int count = 0;
  Process process{.out = scratch_dir() / fmt::format("out{}", count),
                  .err = scratch_dir() / fmt::format("err{}", count)};
  ++count;
  process.pid = fork();
  if (process.pid != 0) return process;
  const auto redirect = [](const std::filesystem::path& path, int fd) {
    dup2(open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600), fd);
  };
  redirect(process.out, 1);
  redirect(process.err, 2);
  for (const std::string& variable : variables) {
    const size_t equals = variable.find('=');
    setenv(variable.substr(0, equals).c_str(), variable.substr(equals + 1).c_str(), 1);
  }
  std::vector<char*> words = {const_cast<char*>(kProgram.c_str())};
  for (const std::string& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  execv(words[0], words.data());
  _exit(static_cast<int>(127 + rank));
}

// A rank of torchrun's.
std::vector<std::string> torchrun(int64_t rank, int64_t size, int port) {
  return {fmt::format("RANK={}", rank), fmt::format("WORLD_SIZE={}", size),
          fmt::format("LOCAL_RANK={}", rank), "MASTER_ADDR=127.0.0.1",
          fmt::format("MASTER_PORT={}", port)};
}
// One of Open MPI's, all on this host.
std::vector<std::string> mpirun(int64_t rank, int64_t size, int port) {
  return {fmt::format("OMPI_COMM_WORLD_RANK={}", rank),
          fmt::format("OMPI_COMM_WORLD_SIZE={}", size),
          fmt::format("OMPI_COMM_WORLD_LOCAL_RANK={}", rank),
          fmt::format("OMPI_COMM_WORLD_LOCAL_SIZE={}", size), fmt::format("MASTER_PORT={}", port)};
}

using Launcher = std::vector<std::string> (*)(int64_t, int64_t, int);
std::vector<Process> start_all(int64_t size, const std::vector<std::string>& arguments,
                               Launcher launcher = torchrun) {
  const int port = free_port();
  std::vector<Process> processes;
  for (int64_t rank = 0; rank < size; ++rank)
    processes.push_back(start(rank, arguments, launcher(rank, size, port)));
  return processes;
}

std::vector<std::string> generate(int max_tokens, const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"generate",
                                        "--model_dir",
                                        kModelDir.string(),
                                        "--device=cuda",
                                        "--prompt=Hello",
                                        "--prompt=The compiler",
                                        fmt::format("--max_tokens={}", max_tokens),
                                        "--max_seq_len=128",
                                        "--max_num_tokens=32",
                                        "--max_batch_size=2",
                                        "--threads=1",
                                        "--ignore_eos",
                                        "--logprobs=0",
                                        "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto names_type = [](const std::string& word) { return word.starts_with("--dtype"); };
  if (std::ranges::none_of(more, names_type)) arguments.push_back("--dtype=bfloat16");
  return arguments;
}

// What the first of them printed; the others print nothing and all end well.
std::string printed(const std::vector<Process>& processes) {
  for (size_t rank = 0; rank < processes.size(); ++rank) {
    EXPECT_EQ(processes[rank].wait(), 0) << rank << ": " << content_of(processes[rank].err);
    if (rank > 0) {
      EXPECT_EQ(content_of(processes[rank].out), "");
      EXPECT_EQ(content_of(processes[rank].err), "");
    }
  }
  return content_of(processes.front().out);
}

std::vector<TokenIds> tokens_of(const std::string& text) {
  std::vector<TokenIds> tokens;
  for (size_t begin = 0; begin < text.size(); begin = text.find('\n', begin) + 1) {
    const std::string line = text.substr(begin, text.find('\n', begin) - begin);
    tokens.push_back(nlohmann::json::parse(line)["token_ids"]);
  }
  return tokens;
}

std::string alone() {
  static const std::string text = printed({start(0, generate(10, {}), {})});
  return text;
}

TEST(Processes, StagesGiveTheBytesOfOneProcess) {
  OCTAVO_REQUIRE_RANKS(2);
  EXPECT_EQ(printed(start_all(2, generate(10, {"--pp_size=2"}))), alone());
}

// Sums are rounded in another order: the same tokens in float32, not the same log-probabilities.
TEST(Processes, TensorParallelRanksGiveTheTokensOfOneProcess) {
  OCTAVO_REQUIRE_RANKS(2);
  EXPECT_EQ(
      tokens_of(printed(start_all(2, generate(10, {"--tp_size=2", "--dtype=float32"}), mpirun))),
      tokens_of(printed({start(0, generate(10, {"--dtype=float32"}), {})})));
}

TEST(Processes, StagesOfTensorParallelRanksAndFusedSumsGiveTheSameBytes) {
  OCTAVO_REQUIRE_RANKS(4);
  const std::string two = printed(start_all(2, generate(10, {"--tp_size=2"})));
  EXPECT_EQ(printed(start_all(4, generate(10, {"--tp_size=2", "--pp_size=2"}))), two);
  EXPECT_EQ(printed(start_all(2, generate(10, {"--tp_size=2", "--reduce_fusion=enable"}))), two);
}

TEST(Processes, EvaluationIsTheFirstOnes) {
  OCTAVO_REQUIRE_RANKS(2);
  const std::filesystem::path text = scratch_dir() / "text.txt";
  std::ofstream(text) << greedy_reference()[0]["text"].get<std::string>();
  const auto arguments = [&](const char* stages) {
    return std::vector<std::string>{"eval",
                                    "perplexity",
                                    "--model_dir",
                                    kModelDir.string(),
                                    "--dtype=bfloat16",
                                    "--device=cuda",
                                    "--threads=1",
                                    "--context=16",
                                    "--max_tokens=33",
                                    "--max_num_tokens=32",
                                    "--max_seq_len=64",
                                    "--dataset",
                                    text.string(),
                                    "--json",
                                    stages};
  };
  const auto perplexity = [](const std::string& report) {
    return nlohmann::json::parse(report)["perplexity"].get<double>();
  };
  EXPECT_EQ(perplexity(printed(start_all(2, arguments("--pp_size=2")))),
            perplexity(printed({start(0, arguments("--pp_size=1"), {})})));
}

// Whoever is lost, the others end within 10 s and say so.
void lose(int64_t lost, int signal, const std::string& expected) {
  const std::vector<Process> processes = start_all(
      2, {"generate", "--model_dir", kModelDir.string(), "--dtype=bfloat16", "--device=cuda",
          "--tp_size=2", "--prompt=Hello", "--max_tokens=120", "--ignore_eos", "--max_seq_len=128",
          "--max_num_tokens=16", "--max_batch_size=1", "--threads=1", "--stream"});
  // Text comes when steps run.
  const std::string prompt = "Hello";
  const auto begin = std::chrono::steady_clock::now();
  while (content_of(processes.front().out).size() <= prompt.size() &&
         std::chrono::steady_clock::now() - begin < std::chrono::seconds(120))
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  kill(processes[static_cast<size_t>(lost)].pid, signal);
  const auto start = std::chrono::steady_clock::now();
  const Process& other = processes[static_cast<size_t>(1 - lost)];
  EXPECT_EQ(other.wait(), 7);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  EXPECT_THAT(content_of(other.err), HasSubstr(expected));
  kill(processes[static_cast<size_t>(lost)].pid, SIGKILL);
  processes[static_cast<size_t>(lost)].wait();
}

TEST(ProcessFaults, AFollowerIsKilled) {
  OCTAVO_REQUIRE_RANKS(2);
  lose(1, SIGKILL, "error: rank 1: it ended before the work was done");
}

TEST(ProcessFaults, TheFirstIsKilled) {
  OCTAVO_REQUIRE_RANKS(2);
  lose(0, SIGKILL, "error: rank 0: it ended before the work was done");
}

TEST(ProcessFaults, AFollowerIsStopped) {
  OCTAVO_REQUIRE_RANKS(2);
  lose(1, SIGSTOP, "error: rank 1 stalled: nothing was heard of it for 8000 ms");
}

// Ranks that were started with other options would wait for each other.
TEST(ProcessFaults, OtherOptionsAreRefusedByAll) {
  OCTAVO_REQUIRE_RANKS(2);
  const int port = free_port();
  const std::vector<Process> processes = {
      start(0, generate(4, {"--tp_size=2"}), torchrun(0, 2, port)),
      start(1, generate(4, {"--tp_size=2", "--max_batch_size=4"}), torchrun(1, 2, port))};
  EXPECT_EQ(processes[0].wait(), 4);
  EXPECT_EQ(processes[1].wait(), 7);
  for (const Process& process : processes)
    EXPECT_THAT(content_of(process.err), HasSubstr("rank 0 has"));
}

TEST(ProcessFaults, SizesAndCommandsThatDoNotFit) {
  if (!std::filesystem::exists(kProgram)) GTEST_SKIP() << "the program was not built";
  const int port = free_port();
  const auto refused = [&](const std::vector<std::string>& arguments, int code) {
    const Process process = start(1, arguments, torchrun(1, 4, port));
    EXPECT_EQ(process.wait(), code);
    return content_of(process.err);
  };
  const std::string cuda = cuda_devices().empty() ? "--device=cpu" : "--device=cuda";
  EXPECT_THAT(refused({"generate", "--model_dir", kModelDir.string(), cuda, "--prompt=x"}, 5),
              HasSubstr("WORLD_SIZE: expected 1, which is --tp_size 1 × --pp_size 1, got 4"));
  EXPECT_THAT(refused({"generate", "--model_dir", kModelDir.string(), "--device=cpu", "--tp_size=4",
                       "--prompt=x"},
                      4),
              HasSubstr("processes share a model on GPUs alone"));
  EXPECT_THAT(refused({"build", "--checkpoint_dir", kModelDir.string(), "--output_dir", "x"}, 4),
              StartsWith("error: octavo build runs in one process, WORLD_SIZE says"));
}

}  // namespace
}  // namespace octavo
