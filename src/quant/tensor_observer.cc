// Observation on the host or by the device's own kernel.
// SPDX-License-Identifier: Apache-2.0
#include "quant/tensor_observer.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace octavo {
namespace {

// As quant/statistics.cc counts: what is not finite stands in the last bin and counts apart.
ObservedTensor from_totals(const ObservedTotals& totals, uint64_t count) {
  ObservedTensor observed;
  TensorStatistics& statistics = observed.statistics;
  observed.nonfinite = totals.exponents[255];
  std::copy_n(totals.exponents, 255, statistics.exponents.begin());
  statistics.amax = std::bit_cast<float>(totals.amax_bits);
  statistics.count = count - observed.nonfinite;
  return observed;
}

}  // namespace

TensorObserver::TensorObserver(Device& device, const DeviceKernels* kernels, size_t capacity)
    : device_(device), kernels_(kernels), capacity_(capacity) {
  if (kernels == nullptr) return;
  const auto bytes = static_cast<int64_t>(capacity * sizeof(ObservedTotals));
  totals_ = device.allocate(bytes);
  staging_ = device.allocate_staging(bytes);
}

const ObservedTensor* TensorObserver::observe(const TensorView& tensor) {
  if (kernels_ == nullptr) {
    on_host_.push_back(octavo::observe(tensor));
    return &on_host_.back();
  }
  OCTAVO_CHECK(counts_.size() < capacity_);
  auto* const totals = reinterpret_cast<ObservedTotals*>(totals_.get());
  if (counts_.empty())
    device_.zero(totals_.get(), static_cast<int64_t>(capacity_ * sizeof(ObservedTotals)));
  kernels_->observe({.data = tensor.data,
                     .dtype = tensor.dtype,
                     .rows = tensor.rows(),
                     .columns = tensor.columns(),
                     .row_stride = tensor.row_stride,
                     .totals = totals + counts_.size()},
                    {.stream = device_.stream()});
  counts_.push_back(static_cast<uint64_t>(tensor.elements()));
  return nullptr;
}

std::vector<ObservedTensor> TensorObserver::finish() {
  if (kernels_ == nullptr) return std::exchange(on_host_, {});
  std::vector<ObservedTensor> all;
  if (counts_.empty()) return all;
  device_.download(staging_.get(), totals_.get(),
                   static_cast<int64_t>(counts_.size() * sizeof(ObservedTotals)));
  device_.synchronize();
  const auto* totals = reinterpret_cast<const ObservedTotals*>(staging_.get());
  for (size_t i = 0; i < counts_.size(); ++i) all.push_back(from_totals(totals[i], counts_[i]));
  counts_.clear();
  return all;
}

}  // namespace octavo
