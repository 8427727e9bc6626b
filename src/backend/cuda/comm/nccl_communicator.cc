// Matrices as the runs of elements that NCCL takes.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/comm/nccl_communicator.h"

#include <algorithm>

#include "backend/cuda/comm/nccl_group.h"
#include "backend/cuda/comm/row_share.h"
#include "backend/cuda/norm/rms_norm.h"
#include "backend/cuda/problem.h"
#include "core/checked.h"

namespace octavo::cuda {
namespace {

int type_of_sum(const TensorView& x) {
  if (x.dtype == DType::kBF16) return kNcclBfloat16;
  if (x.dtype == DType::kF32) return kNcclFloat32;
  throw Error(ErrorCategory::kInternal,
              fmt::format("[nccl] ranks cannot sum {}", to_string(x.dtype)));
}

std::byte* row_of(const TensorView& view, int64_t row) {
  return view.data + row * view.row_stride * size_of(view.dtype);
}

size_t row_bytes(const TensorView& view) {
  return static_cast<size_t>(view.columns() * size_of(view.dtype));
}

// Rows [first, first + rows).
TensorView rows_of_view(const TensorView& view, int64_t first, int64_t rows) {
  TensorView part = view;
  part.data = row_of(view, first);
  part.shape[0] = rows;
  return part;
}

// What NCCL takes in one call: all elements where no matrix has gaps between rows, else a row.
struct Runs {
  Runs(const TensorView& a, const TensorView& b)
      : count(a.dense() && b.dense() ? 1 : a.rows()),
        elements(static_cast<size_t>(count == 1 ? a.elements() : a.columns())) {}
  int64_t count;
  size_t elements;
};

// The first that is no success.
template <typename Call>
int each(int64_t count, const Call& call) {
  int result = kNcclSuccess;
  for (int64_t i = 0; i < count; ++i) {
    const int one = call(i);
    if (result == kNcclSuccess || result == kNcclInProgress) result = one;
  }
  return result;
}

int index_of(Device& device) {
  device.activate();
  int index = 0;
  OCTAVO_CUDA_CHECK(cudaGetDevice(&index));
  return index;
}

}  // namespace

NcclCommunicator::NcclCommunicator(std::shared_ptr<ProcessGroup> processes,
                                   std::shared_ptr<NcclLinks> links, const RankPlace& place,
                                   cudaStream_t stream)
    : DeviceCommunicator(place, stream),
      processes_(std::move(processes)),
      links_(std::move(links)),
      api_(links_->api()) {
  processes_->set_watch(links_);
}

NcclCommunicator::~NcclCommunicator() { processes_->set_watch(nullptr); }

void NcclCommunicator::call(const char* what, NcclComm comm, const std::function<int()>& work) {
  OCTAVO_CHECK(comm != nullptr);
  links_->call(what, comm, work);
  links_->mark();
}

void NcclCommunicator::all_reduce(const TensorView& x, const TensorView& y, const Launch& where) {
  const int type = type_of_sum(x);
  if (x.elements() == 0) return links_->check();
  const Runs runs(x, y);
  call("ncclAllReduce", links_->stage(), [&] {
    return each(runs.count, [&](int64_t i) {
      return api_.all_reduce(row_of(x, i), row_of(y, i), runs.elements, type, kNcclSum,
                             links_->stage(), where.stream);
    });
  });
}

void NcclCommunicator::reduce_rows(const TensorView& x, const TensorView& y, const Launch& where) {
  const int type = type_of_sum(x);
  const auto ranks = static_cast<int>(place_.tp_size);
  const int64_t most = row_share(x.rows(), ranks, 0).rows;
  if (x.rows() == most * ranks && x.dense() && y.dense()) {
    return call("ncclReduceScatter", links_->stage(), [&] {
      return api_.reduce_scatter(x.data, y.data, static_cast<size_t>(most * x.columns()), type,
                                 kNcclSum, links_->stage(), where.stream);
    });
  }
  call("ncclReduce", links_->stage(), [&] {
    return each(ranks, [&](int64_t rank) {
      const RowShare share = row_share(x.rows(), ranks, static_cast<int>(rank));
      const TensorView part = rows_of_view(x, share.first, share.rows);
      const Runs runs(part, y);
      if (share.rows == 0) return kNcclSuccess;
      return each(runs.count, [&](int64_t i) {
        return api_.reduce(row_of(part, i), row_of(y, i), runs.elements, type, kNcclSum,
                           static_cast<int>(rank), links_->stage(), where.stream);
      });
    });
  });
}

void NcclCommunicator::reduce_scatter(const TensorView& x, const TensorView& y, Axis axis,
                                      const Launch& where) {
  if (y.elements() == 0) return links_->check();
  if (axis == Axis::kRows) {
    reduce_rows(x, y, where);
    const auto ranks = static_cast<int>(place_.tp_size);
    const int64_t own = row_share(x.rows(), ranks, static_cast<int>(place_.index())).rows;
    for (int64_t row = own; row < y.rows(); ++row)
      OCTAVO_CUDA_CHECK(cudaMemsetAsync(row_of(y, row), 0, row_bytes(y), where.stream));
    return;
  }
  const int type = type_of_sum(x);
  call("ncclReduceScatter", links_->stage(), [&] {
    return each(x.rows(), [&](int64_t row) {
      return api_.reduce_scatter(row_of(x, row), row_of(y, row), static_cast<size_t>(y.columns()),
                                 type, kNcclSum, links_->stage(), where.stream);
    });
  });
}

void NcclCommunicator::gather_rows(const TensorView& own, const TensorView& y, int64_t each_rows,
                                   const Launch& where) {
  const size_t bytes = row_bytes(y);
  call("ncclBroadcast", links_->stage(), [&] {
    return each(place_.tp_size, [&](int64_t rank) {
      const int64_t first = std::min(each_rows * rank, y.rows());
      const TensorView part = rows_of_view(y, first, std::min(each_rows, y.rows() - first));
      if (part.rows() == 0) return kNcclSuccess;
      const bool whole = own.dense() && y.dense();
      const size_t run = whole ? bytes * static_cast<size_t>(part.rows()) : bytes;
      return each(whole ? 1 : part.rows(), [&](int64_t i) {
        return api_.broadcast(row_of(own, i), row_of(part, i), run, kNcclUint8,
                              static_cast<int>(rank), links_->stage(), where.stream);
      });
    });
  });
}

void NcclCommunicator::all_gather(const TensorView& x, const TensorView& y, Axis axis,
                                  const Launch& where) {
  if (y.elements() == 0) return links_->check();
  const size_t bytes = row_bytes(x);
  const bool by_rows = axis == Axis::kRows;
  const bool whole = by_rows && x.dense() && y.dense() && y.rows() == x.rows() * place_.tp_size;
  if (by_rows && !whole) return gather_rows(x, y, x.rows(), where);
  call("ncclAllGather", links_->stage(), [&] {
    return each(whole ? 1 : x.rows(), [&](int64_t row) {
      return api_.all_gather(row_of(x, row), row_of(y, row),
                             whole ? bytes * static_cast<size_t>(x.rows()) : bytes, kNcclUint8,
                             links_->stage(), where.stream);
    });
  });
}

void NcclCommunicator::send(const TensorView& x, const Launch& where) {
  OCTAVO_CHECK(!place_.is_last_stage() && x.dense());
  if (x.elements() == 0) return links_->check();
  call("ncclSend", links_->world(), [&] {
    return api_.send(x.data, static_cast<size_t>(x.bytes()), kNcclUint8,
                     static_cast<int>(place_.rank + place_.tp_size), links_->world(), where.stream);
  });
}

void NcclCommunicator::recv(const TensorView& y, const Launch& where) {
  OCTAVO_CHECK(!place_.is_first_stage() && y.dense());
  if (y.elements() == 0) return links_->check();
  call("ncclRecv", links_->world(), [&] {
    return api_.recv(y.data, static_cast<size_t>(y.bytes()), kNcclUint8,
                     static_cast<int>(place_.rank - place_.tp_size), links_->world(), where.stream);
  });
}

// A call that follows one of NCCL's waits for its end.
void NcclCommunicator::all_reduce_add_rms_norm(const AddRmsNormArgs& norm, bool,
                                               const Launch& where) {
  if (norm.x.elements() == 0) return links_->check();
  all_reduce(norm.x, norm.x, where);
  launch_rms_norm(rows_of(norm), {.stream = where.stream});
}

void NcclCommunicator::sharded_add_rms_norm(const AddRmsNormArgs& norm, const Launch& where) {
  if (norm.x.elements() == 0) return links_->check();
  const auto ranks = static_cast<int>(place_.tp_size);
  const int64_t each_rows = row_share(norm.x.rows(), ranks, 0).rows;
  const RowShare share = row_share(norm.x.rows(), ranks, static_cast<int>(place_.index()));
  const TensorView own_x = rows_of_view(norm.x, share.first, share.rows);
  const TensorView own_y = rows_of_view(norm.y, share.first, share.rows);
  reduce_rows(norm.x, own_x, where);
  AddRmsNormArgs own = norm;
  own.x = own_x;
  own.y = own_y;
  const bool is_whole = norm.residual.rows() == norm.x.rows();
  if (is_whole) own.residual = rows_of_view(norm.residual, share.first, share.rows);
  if (share.rows > 0) launch_rms_norm(rows_of(own), {.stream = where.stream});
  gather_rows(own_y, norm.y, each_rows, where);
}

}  // namespace octavo::cuda

namespace octavo {

std::shared_ptr<Communicator> open_nccl_rank(Device& device,
                                             std::shared_ptr<ProcessGroup> processes,
                                             const RankPlace& place) {
  auto* const stream = static_cast<cudaStream_t>(device.stream());
  const auto links = std::make_shared<cuda::NcclLinks>(cuda::nccl_api(), processes, place,
                                                       cuda::index_of(device), stream);
  return std::make_shared<cuda::NcclCommunicator>(std::move(processes), links, place, stream);
}

}  // namespace octavo
