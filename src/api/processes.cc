// What launchers ask for, checked against the model.
// SPDX-License-Identifier: Apache-2.0
#include "api/processes.h"

#include "backend/cuda/comm/nccl_group.h"
#include "backend/cuda/cuda_device.h"
#include "core/error.h"
#include "octavo/llm.h"

namespace octavo {
namespace {

// The launcher's words where the ranks are to be processes.
std::optional<RankEnvironment> asked_environment(const std::string& communicator) {
  if (communicator == "peer") return std::nullopt;
  if (communicator != "auto" && communicator != "nccl") {
    throw Error(ErrorCategory::kUsage,
                fmt::format("--communicator: expected auto|peer|nccl, got \"{}\"",
                            printable(communicator)));
  }
  std::optional<RankEnvironment> environment = rank_environment();
  if (communicator == "nccl" && !environment) {
    throw Error(ErrorCategory::kEnvironment,
                "--communicator nccl: expected RANK, WORLD_SIZE and LOCAL_RANK, or those of "
                "mpirun: a process a rank is started by torchrun or mpirun");
  }
  if (environment && environment->size == 1) return std::nullopt;
  return environment;
}

}  // namespace

std::shared_ptr<ProcessGroup> open_processes(const std::string& communicator,
                                             const std::string& device, int64_t tp_size,
                                             int64_t pp_size) {
  const std::optional<RankEnvironment> environment = asked_environment(communicator);
  if (!environment) return nullptr;
  const std::string started =
      fmt::format("this is process {} of {}", environment->rank, environment->size);
  if (environment->size != tp_size * pp_size) {
    throw Error(ErrorCategory::kEnvironment,
                fmt::format("{}: expected {}, which is --tp_size {} × --pp_size {}, got {}; "
                            "--communicator peer runs the whole model in each process",
                            environment->size_variable, tp_size * pp_size, tp_size, pp_size,
                            environment->size));
  }
  if (device != "cuda") {
    throw Error(ErrorCategory::kUnsupported,
                fmt::format("{}: processes share a model on GPUs alone; ranks of the CPU are "
                            "threads of one",
                            started));
  }
  auto processes = std::make_shared<ProcessGroup>(*environment);
  try {
    if (const NcclLibrary nccl = nccl_library(); !nccl.found)
      throw Error(ErrorCategory::kEnvironment, nccl.text);
    local_gpu();
  } catch (const Error& error) {
    processes->fail(error.what());
    throw;
  }
  return processes;
}

RankPlace place_of(int64_t process, int64_t tp_size, int64_t pp_size) {
  const int64_t stage = pp_size - 1 - process / tp_size;
  return {.tp_size = tp_size, .pp_size = pp_size, .rank = stage * tp_size + process % tp_size};
}

RankPlace place_of(const ProcessGroup& processes, int64_t tp_size, int64_t pp_size) {
  return place_of(processes.rank(), tp_size, pp_size);
}

int local_gpu() {
  const int64_t present = std::ssize(cuda_devices());
  const std::optional<RankEnvironment> environment = rank_environment();
  const int64_t index = environment ? environment->local_rank : 0;
  if (present == 1) return 0;
  if (index < present) return static_cast<int>(index);
  throw Error(
      ErrorCategory::kUnsupported,
      fmt::format("process {} of this host needs a GPU of its own, it sees {}", index, present));
}

std::string processes_text() {
  if (!has_cuda_backend()) return "";
  const NcclLibrary nccl = nccl_library();
  std::string text =
      fmt::format("NCCL              {}\n", nccl.found ? nccl.text +
                                                             "; for ranks that mpirun or torchrun "
                                                             "starts, a process a GPU"
                                                       : "not found: " + nccl.text);
  if (const auto environment = rank_environment(); environment && environment->size > 1) {
    text += fmt::format(
        "processes         this is {} of {} ({}): they share a model of as many "
        "ranks through NCCL\n",
        environment->rank, environment->size, environment->size_variable);
  }
  return text;
}

bool follows_another_process(const ModelOptions& model) {
  const auto environment = asked_environment(model.communicator);
  return environment && environment->rank > 0;
}

void expect_one_process(std::string_view work) {
  const auto environment = rank_environment();
  if (!environment || environment->size == 1) return;
  throw Error(ErrorCategory::kUnsupported,
              fmt::format("{} runs in one process, {} says that there are {}: start it without "
                          "mpirun or torchrun",
                          work, environment->size_variable, environment->size));
}

}  // namespace octavo
