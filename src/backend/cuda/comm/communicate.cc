// The kernels of ops between ranks: cuda_all_reduce and its kin.
// SPDX-License-Identifier: Apache-2.0
#include "ops/communicate.h"

#include "backend/cuda/comm/peer_communicator.h"
#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"

namespace octavo::cuda {
namespace {

Verdict supports_sum(const Problem& problem) {
  const DType dtype = problem.inputs[0].dtype;
  if (is_activation(dtype)) return Verdict::yes();
  return Verdict::no(fmt::format("sums of {}", to_string(dtype)));
}

Verdict supports_all(const Problem&) { return Verdict::yes(); }

DeviceCommunicator& comm_of(const LaunchContext& context) {
  auto* const comm = dynamic_cast<DeviceCommunicator*>(context.comm);
  if (comm != nullptr) return *comm;
  throw Error(ErrorCategory::kInternal, "a Program of several ranks runs on a GPU alone");
}

DeviceCommunicator& comm_of(const LaunchContext& context, int64_t ranks) {
  DeviceCommunicator& comm = comm_of(context);
  if (comm.place().tp_size == ranks) return comm;
  throw Error(ErrorCategory::kInternal,
              fmt::format("a Program of {} ranks runs on {}", ranks, comm.place().tp_size));
}

Communicator::Axis axis_of(const GroupParams& params) {
  return params.by_rows ? Communicator::Axis::kRows : Communicator::Axis::kColumns;
}

void all_reduce(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupArgs::bind(operands);
  comm_of(context, args.params->ranks).all_reduce(args.x, args.y, on(context));
}

void reduce_scatter(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupArgs::bind(operands);
  comm_of(context, args.params->ranks)
      .reduce_scatter(args.x, args.y, axis_of(*args.params), on(context));
}

void all_gather(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupArgs::bind(operands);
  comm_of(context, args.params->ranks)
      .all_gather(args.x, args.y, axis_of(*args.params), on(context));
}

void send(const Operands& operands, const LaunchContext& context) {
  comm_of(context).send(operands.inputs[0], on(context));
}

void recv(const Operands& operands, const LaunchContext& context) {
  comm_of(context).recv(operands.outputs[0], on(context));
}

Verdict supports_reduce_norm(const Problem& problem) {
  if (problem.outputs[0].dtype != problem.inputs[0].dtype)
    return Verdict::no("a sum of another type than x");
  const Problem::Operand &x = problem.inputs[0], &weight = problem.inputs[2];
  const auto* params = std::get_if<ReduceNormParams>(&problem.params);
  if (params != nullptr && params->sharded &&
      (!PeerCommunicator::holds_row(x.dtype, x.shape[1]) || weight.shape[0] != x.shape[1]))
    return Verdict::no("rows of a rank that are not of bfloat16 in vectors of 8, or too long");
  return check_activations(problem, {0, 1, 2});
}

constexpr std::string_view kPull = "pull";

// Rows that were written to user buffers may be read there by all ranks.
std::vector<std::string> reduce_norm_tactics(const Problem& problem) {
  const auto* params = std::get_if<ReduceNormParams>(&problem.params);
  if (params == nullptr || !params->user_buffer || params->sharded) return {};
  return {"", std::string(kPull)};
}

void all_reduce_add_rms_norm(const Operands& operands, const LaunchContext& context) {
  const auto args = ReduceNormArgs::bind(operands);
  const RmsNormParams params{args.params->epsilon};
  const AddRmsNormArgs norm{.x = args.x,
                            .residual = args.residual,
                            .weight = args.weight,
                            .output_scale = args.output_scale,
                            .sum = args.sum,
                            .y = args.y,
                            .params = &params};
  DeviceCommunicator& comm = comm_of(context, args.params->ranks);
  if (args.params->sharded) return comm.sharded_add_rms_norm(norm, on(context));
  const bool pulls = args.params->user_buffer && context.tactic == kPull;
  comm.all_reduce_add_rms_norm(norm, pulls, on(context));
}

constexpr KernelTraits kTraits = {.device = DeviceType::kCuda, .programmatic = true};

}  // namespace

const Kernel kAllReduce = {"cuda_all_reduce", Op::kAllReduce, kTraits,
                           supports_sum,      nullptr,        all_reduce};
const Kernel kReduceScatter = {
    "cuda_reduce_scatter", Op::kReduceScatter, kTraits, supports_sum, nullptr, reduce_scatter};
const Kernel kAllGather = {"cuda_all_gather", Op::kAllGather, kTraits,
                           supports_all,      nullptr,        all_gather};
const Kernel kSend = {"cuda_send", Op::kSend, kTraits, supports_all, nullptr, send};
const Kernel kRecv = {"cuda_recv", Op::kRecv, kTraits, supports_all, nullptr, recv};
const Kernel kAllReduceAddRmsNorm = {"cuda_all_reduce_add_rms_norm",
                                     Op::kAllReduceAddRmsNorm,
                                     kTraits,
                                     supports_reduce_norm,
                                     nullptr,
                                     all_reduce_add_rms_norm,
                                     reduce_norm_tactics};

}  // namespace octavo::cuda
