// Reading of slices.
// SPDX-License-Identifier: Apache-2.0
#include "model/sliced_weights.h"

#include <algorithm>
#include <cstring>

namespace octavo {
namespace {

constexpr int64_t kScratchBytes = int64_t{4} << 20;

// One row of a tensor: blocks of `extent` × `inner` bytes, of which a slice keeps some of the
// extent.
struct RowLayout {
  RowLayout(const WeightInfo& whole, const WeightSlice& slice) : inner(size_of(whole.dtype)) {
    for (int axis = 1; axis < slice.axis; ++axis) blocks *= whole.shape[axis];
    for (int axis = slice.axis + 1; axis < whole.shape.rank(); ++axis) inner *= whole.shape[axis];
    block = whole.shape[slice.axis] * inner;
    kept = slice.count * inner;
    skipped = slice.begin * inner;
  }
  int64_t row_bytes() const { return blocks * block; }
  int64_t kept_row_bytes() const { return blocks * kept; }

  int64_t blocks = 1;
  int64_t inner;
  int64_t block = 0, kept = 0, skipped = 0;  // bytes
};

}  // namespace

SlicedWeights::SlicedWeights(std::shared_ptr<const WeightSource> whole, WeightSlices slices)
    : whole_(std::move(whole)), slices_(std::move(slices)) {}

std::optional<WeightInfo> SlicedWeights::info(std::string_view name) const {
  std::optional<WeightInfo> info = whole_->info(name);
  const auto slice = slices_.find(name);
  if (!info || slice == slices_.end()) return info;
  const WeightSlice& s = slice->second;
  if (s.axis >= info->shape.rank() || s.begin + s.count > info->shape[s.axis]) {
    throw bad_file(whole_->file_of(name), name,
                   fmt::format("expected elements {} to {} of axis {}, got {}", s.begin,
                               s.begin + s.count, s.axis, to_string(info->shape)));
  }
  info->shape[s.axis] = s.count;
  return info;
}

std::optional<FillPattern> SlicedWeights::fill_of(std::string_view name) const {
  std::optional<FillPattern> pattern = whole_->fill_of(name);
  const auto found = slices_.find(name);
  if (found == slices_.end() || !pattern || !pattern->random) return pattern;
  const WeightSlice& slice = found->second;
  const Shape whole = whole_->info(name)->shape;
  if (whole.rank() != 2 || pattern->columns != 0) return std::nullopt;
  // The seed is the index of the first element, as it were: a generator of counters.
  pattern->seed += static_cast<uint64_t>(slice.begin * (slice.axis == 0 ? whole[1] : 1));
  if (slice.axis == 1) {
    pattern->columns = slice.count;
    pattern->row_stride = whole[1];
  }
  return pattern;
}

void SlicedWeights::read(std::string_view name, int64_t row_begin,
                         std::span<std::byte> destination) const {
  const auto found = slices_.find(name);
  if (found == slices_.end()) return whole_->read(name, row_begin, destination);
  const WeightSlice& slice = found->second;
  if (slice.axis == 0) return whole_->read(name, slice.begin + row_begin, destination);
  const RowLayout layout(*whole_->info(name), slice);
  const int64_t rows = std::ssize(destination) / std::max<int64_t>(1, layout.kept_row_bytes());
  const int64_t at_once = std::clamp<int64_t>(kScratchBytes / layout.row_bytes(), 1, rows);
  std::vector<std::byte> scratch(static_cast<size_t>(at_once * layout.row_bytes()));
  std::byte* to = destination.data();
  for (int64_t row = 0; row < rows; row += at_once) {
    const int64_t count = std::min(at_once, rows - row);
    const auto bytes = std::span(scratch).first(static_cast<size_t>(count * layout.row_bytes()));
    whole_->read(name, row_begin + row, bytes);
    for (const std::byte* block = bytes.data(); block != bytes.data() + bytes.size();
         block += layout.block, to += layout.kept)
      std::memcpy(to, block + layout.skipped, static_cast<size_t>(layout.kept));
  }
}

}  // namespace octavo
