// Calls of GPU ranks: which kernel, over which part of a matrix.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/comm/peer_communicator.h"

#include <algorithm>

#include "backend/cuda/comm/meet.h"
#include "backend/cuda/comm/meet_norm.h"
#include "backend/cuda/comm/peer_memory.h"
#include "backend/cuda/comm/pipeline.h"
#include "backend/cuda/comm/push.h"
#include "backend/cuda/comm/reduce_norm.h"
#include "backend/cuda/problem.h"
#include "core/checked.h"

namespace octavo::cuda {
namespace {

PeerMatrix matrix(const TensorView& view) {
  return {view.data, view.row_stride * size_of(view.dtype)};
}

bool aligned_16(const TensorView& view) {
  return reinterpret_cast<uintptr_t>(view.data) % 16 == 0 &&
         (view.rows() <= 1 || view.row_stride * size_of(view.dtype) % 16 == 0);
}

// Elements of a vector: 16 bytes where both matrices and every rank's columns allow it.
int vector_of(const TensorView& x, const TensorView& y, int64_t columns) {
  const auto wide = static_cast<int>(16 / size_of(x.dtype));
  return columns % wide == 0 && aligned_16(x) && aligned_16(y) ? wide : 1;
}

// Vectors of a row of which a rank has [index, index + 1) / size.
PeerPart share(int64_t rows, int64_t vectors, const device::PeerLinks& links) {
  const int64_t begin = vectors * links.index / links.size;
  const int64_t end = vectors * (links.index + 1) / links.size;
  return {.first_vector = begin, .rows = rows, .vectors = end - begin};
}

// Items are counted in 32 bits, but for those of a single row.
void check_items(int64_t rows, int64_t items) {
  if (rows == 1 || items < int64_t{1} << 32) return;
  throw Error(ErrorCategory::kUnsupported,
              fmt::format("[cuda] {} items of one exchange between ranks", items));
}

void check_activation(const TensorView& x) {
  if (is_activation(x.dtype)) return;
  throw Error(ErrorCategory::kInternal,
              fmt::format("[cuda] ranks cannot sum {}", to_string(x.dtype)));
}

}  // namespace

PeerCommunicator::PeerCommunicator(std::shared_ptr<PeerMemory> memory, const RankPlace& place,
                                   cudaStream_t stream)
    : DeviceCommunicator(place, stream),
      memory_(std::move(memory)),
      links_(memory_->links_of(place)) {}

void PeerCommunicator::check() const { memory_->check(); }
void PeerCommunicator::abort() noexcept { memory_->stop(); }

bool PeerCommunicator::pushes(const TensorView& x, const TensorView& y) const {
  return x.dense() && y.dense() && aligned_16(x) && aligned_16(y) && x.bytes() % 16 == 0 &&
         x.bytes() <= memory_->options().push_bytes;
}

void PeerCommunicator::all_reduce(const TensorView& x, const TensorView& y, const Launch& where) {
  check();  // a rank that comes late must not touch what others have left
  check_activation(x);
  if (x.elements() == 0) return;
  if (pushes(x, y)) {
    return launch_push_reduce(
        links_, {.x = x.data, .y = y.data, .bytes = x.bytes(), .dtype = x.dtype}, where);
  }
  const bool one_row = x.dense() && y.dense();
  const int64_t rows = one_row ? 1 : x.rows(), columns = one_row ? x.elements() : x.columns();
  const int width = vector_of(x, y, columns);
  const int64_t most = rows * ceil_div(columns / width, links_.size);
  check_items(rows, most);
  launch_meet_reduce(links_,
                     {.x = matrix(x),
                      .y = matrix(y),
                      .part = share(rows, columns / width, links_),
                      .x_rows = rows,
                      .most_items = most,
                      .to_all = true,
                      .width = width,
                      .dtype = x.dtype},
                     where);
}

void PeerCommunicator::reduce_scatter(const TensorView& x, const TensorView& y, Axis axis,
                                      const Launch& where) {
  check();
  check_activation(x);
  if (y.elements() == 0) return;
  const int width = vector_of(x, y, y.columns());
  const int64_t vectors = y.columns() / width;
  check_items(y.rows(), y.rows() * vectors);
  PeerPart part{.rows = y.rows(), .vectors = vectors};
  (axis == Axis::kRows ? part.first_row : part.first_vector) =
      place_.index() * (axis == Axis::kRows ? y.rows() : vectors);
  launch_meet_reduce(links_,
                     {.x = matrix(x),
                      .y = matrix(y),
                      .part = part,
                      .x_rows = x.rows(),
                      .most_items = y.rows() * vectors,
                      .to_all = false,
                      .width = width,
                      .dtype = x.dtype},
                     where);
}

void PeerCommunicator::all_gather(const TensorView& x, const TensorView& y, Axis axis,
                                  const Launch& where) {
  check();
  if (y.elements() == 0) return;
  const int64_t row_bytes = x.columns() * size_of(x.dtype);
  const int word = row_bytes % 16 == 0 && aligned_16(x) && aligned_16(y) ? 16 : 1;
  const int64_t words = row_bytes / word;
  check_items(x.rows(), x.rows() * words);
  PeerPart to{.rows = x.rows(), .vectors = words};
  if (axis == Axis::kRows) {
    to.first_row = place_.index() * x.rows();
    to.rows = std::clamp<int64_t>(y.rows() - to.first_row, 0, x.rows());
  } else {
    to.first_vector = place_.index() * words;
  }
  launch_meet_gather(
      links_,
      {.x = matrix(x), .y = matrix(y), .to = to, .most_items = x.rows() * words, .word = word},
      where);
}

bool PeerCommunicator::holds_row(DType dtype, int64_t width) {
  return dtype == DType::kBF16 && width % 8 == 0 && norm_layout(static_cast<int>(width), 8).fits;
}

// Many rows are summed where they are: an element is read by the one rank that writes it.
void PeerCommunicator::all_reduce_add_rms_norm(const AddRmsNormArgs& norm, bool pulls,
                                               const Launch& where) {
  check();
  if (norm.x.elements() == 0) return;
  const NormRows rows = rows_of(norm);
  const bool whole_rows = norm.x.dtype == DType::kBF16 && rows.vector == 8 && rows.groups == 1 &&
                          norm_layout(rows.width, rows.vector).fits;
  if (pulls && whole_rows) {
    return launch_meet_norm(links_, {.rows = rows, .most_rows = rows.rows, .to_all = false}, where);
  }
  // Fewer rows are pushed sooner by more blocks than one a row: 16 KB of one row by 0.8 µs.
  constexpr int64_t kLeastRows = 6;
  if (whole_rows && rows.rows >= kLeastRows && rows.rows <= links_.blocks &&
      norm.x.bytes() <= memory_->options().push_bytes)
    return launch_reduce_norm(links_, rows, where);
  all_reduce(norm.x, norm.x, where);
  launch_rms_norm(rows, where);
}

void PeerCommunicator::sharded_add_rms_norm(const AddRmsNormArgs& norm, const Launch& where) {
  check();
  if (norm.x.elements() == 0) return;
  NormRows rows = rows_of(norm);
  OCTAVO_CHECK(rows.vector == 8 && rows.groups == 1 && holds_row(norm.x.dtype, rows.width));
  const RowShare share = row_share(rows.rows, links_.size, links_.index);
  const bool is_whole = norm.residual.rows() == norm.x.rows();
  if (is_whole && share.rows > 0)
    rows.residual = norm.residual.row<uint16_t>(share.first);  // of bfloat16
  rows.rows = share.rows;
  launch_meet_norm(links_,
                   {.rows = rows,
                    .first_row = share.first,
                    .most_rows = row_share(norm.x.rows(), links_.size, 0).rows},
                   where);
}

void PeerCommunicator::send(const TensorView& x, const Launch& where) {
  check();
  OCTAVO_CHECK(!place_.is_last_stage());
  if (x.elements() == 0) return;
  launch_send(links_,
              {.data = x.data,
               .stride = x.row_stride * size_of(x.dtype),
               .rows = x.rows(),
               .row_bytes = x.columns() * size_of(x.dtype)},
              where);
}

void PeerCommunicator::recv(const TensorView& y, const Launch& where) {
  check();
  OCTAVO_CHECK(!place_.is_first_stage() && y.dense() && aligned_16(y));
  if (y.elements() == 0) return;
  const int64_t row_bytes = y.columns() * size_of(y.dtype);
  launch_receive(links_,
                 {.data = y.data, .stride = row_bytes, .rows = y.rows(), .row_bytes = row_bytes},
                 where);
}

}  // namespace octavo::cuda
