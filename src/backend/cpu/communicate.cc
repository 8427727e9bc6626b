// Communication between ranks on the CPU: the communicator does it.
// SPDX-License-Identifier: Apache-2.0
#include "ops/communicate.h"

#include "backend/cpu/op_kernels.h"
#include "backend/cpu/support.h"
#include "comm/comm.h"

namespace octavo {
namespace {

Verdict supports_all(const Problem&) { return Verdict::yes(); }

Communicator& comm_of(const LaunchContext& context) {
  if (context.comm != nullptr) return *context.comm;
  throw Error(ErrorCategory::kInternal, "a Program of several ranks runs alone");
}

// The communicator of a call whose group must be as large as the Program was cut for.
Communicator& comm_of(const LaunchContext& context, int64_t ranks) {
  Communicator& comm = comm_of(context);
  if (comm.place().tp_size == ranks) return comm;
  throw Error(ErrorCategory::kInternal,
              fmt::format("a Program of {} ranks runs on {}", ranks, comm.place().tp_size));
}

Communicator::Axis axis_of(const GroupParams& params) {
  return params.by_rows ? Communicator::Axis::kRows : Communicator::Axis::kColumns;
}

void all_reduce(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupArgs::bind(operands);
  comm_of(context, args.params->ranks).all_reduce(args.x, args.y);
}

void reduce_scatter(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupArgs::bind(operands);
  comm_of(context, args.params->ranks).reduce_scatter(args.x, args.y, axis_of(*args.params));
}

void all_gather(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupArgs::bind(operands);
  comm_of(context, args.params->ranks).all_gather(args.x, args.y, axis_of(*args.params));
}

void send(const Operands& operands, const LaunchContext& context) {
  comm_of(context).send(operands.inputs[0]);
}

void recv(const Operands& operands, const LaunchContext& context) {
  comm_of(context).recv(operands.outputs[0]);
}

int64_t reduce_norm_workspace(const Problem& problem) {
  const Problem::Operand& x = problem.inputs[0];
  return x.shape.elements() * size_of(x.dtype);
}

// The calls that it stands for, one after the other.
void all_reduce_add_rms_norm(const Operands& operands, const LaunchContext& context) {
  const auto args = ReduceNormArgs::bind(operands);
  const TensorView total(context.workspace.data(), args.x.dtype, args.x.shape);
  comm_of(context, args.params->ranks).all_reduce(args.x, total);
  const TensorView inputs[] = {total, args.residual, args.weight, args.output_scale};
  const OpParams params = RmsNormParams{args.params->epsilon};
  kCpuAddRmsNorm.run({.inputs = inputs, .outputs = operands.outputs, .params = &params}, context);
}

}  // namespace

const Kernel kCpuAllReduce = {"cpu_all_reduce", Op::kAllReduce, {},
                              supports_all,     nullptr,        all_reduce};
const Kernel kCpuReduceScatter = {
    "cpu_reduce_scatter", Op::kReduceScatter, {}, supports_all, nullptr, reduce_scatter};
const Kernel kCpuAllGather = {"cpu_all_gather", Op::kAllGather, {},
                              supports_all,     nullptr,        all_gather};
const Kernel kCpuSend = {"cpu_send", Op::kSend, {}, supports_all, nullptr, send};
const Kernel kCpuRecv = {"cpu_recv", Op::kRecv, {}, supports_all, nullptr, recv};
const Kernel kCpuAllReduceAddRmsNorm = {.name = "cpu_all_reduce_add_rms_norm",
                                        .op = Op::kAllReduceAddRmsNorm,
                                        .traits = {},
                                        .supports = supports_activations,
                                        .workspace = reduce_norm_workspace,
                                        .run = all_reduce_add_rms_norm};

}  // namespace octavo
