// Communication between ranks on the CPU: the communicator does it.
// SPDX-License-Identifier: Apache-2.0
#include "ops/communicate.h"

#include <algorithm>

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

// What ranks sum, and where sharded the rank's own rows of y behind it.
int64_t reduce_norm_workspace(const Problem& problem) {
  const Problem::Operand &x = problem.inputs[0], &sum = problem.outputs[0];
  const int64_t sums = sum.shape.elements() * size_of(x.dtype);
  if (!std::get<ReduceNormParams>(problem.params).sharded) return sums;
  return sums + sum.shape.elements() * size_of(problem.outputs[1].dtype);
}

TensorView rows_of(const TensorView& matrix, int64_t first, int64_t count) {
  TensorView rows = matrix;
  rows.data += first * matrix.row_stride * size_of(matrix.dtype);
  rows.shape[0] = count;
  return rows;
}

void add_rms_norm(const ReduceNormArgs& args, const TensorView& total, const TensorView& residual,
                  const TensorView& sum, const TensorView& y, const LaunchContext& context) {
  const TensorView inputs[] = {total, residual, args.weight, args.output_scale};
  const TensorView outputs[] = {sum, y};
  const OpParams params = RmsNormParams{args.params->epsilon};
  kCpuAddRmsNorm.run({.inputs = inputs, .outputs = outputs, .params = &params}, context);
}

// Everybody sums and norms its rows, and all get the norms of all.
void reduce_norm_sharded(const ReduceNormArgs& args, Communicator& comm,
                         const LaunchContext& context) {
  const int64_t each = args.sum.rows(), first = comm.place().index() * each;
  const int64_t own = std::clamp<int64_t>(args.x.rows() - first, 0, each);
  const TensorView total(context.workspace.data(), args.x.dtype, args.sum.shape);
  const TensorView part(context.workspace.data() + total.bytes(), args.y.dtype, args.sum.shape);
  comm.reduce_scatter(args.x, total, Communicator::Axis::kRows);
  const bool whole = args.residual.rows() == args.x.rows();
  if (own > 0) {
    add_rms_norm(args, rows_of(total, 0, own), rows_of(args.residual, whole ? first : 0, own),
                 rows_of(args.sum, 0, own), rows_of(part, 0, own), context);
  }
  comm.all_gather(part, args.y, Communicator::Axis::kRows);
}

// The calls that it stands for, one after the other.
void all_reduce_add_rms_norm(const Operands& operands, const LaunchContext& context) {
  const auto args = ReduceNormArgs::bind(operands);
  Communicator& comm = comm_of(context, args.params->ranks);
  if (args.params->sharded) return reduce_norm_sharded(args, comm, context);
  const TensorView total(context.workspace.data(), args.x.dtype, args.x.shape);
  comm.all_reduce(args.x, total);
  add_rms_norm(args, total, args.residual, args.sum, args.y, context);
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
