// Filling or uploading of tensors.
// SPDX-License-Identifier: Apache-2.0
#include "model/place_tensor.h"

namespace octavo {

int64_t place_tensor(const WeightSource& source, std::string_view name, const TensorView& to,
                     Device& device, const DeviceKernels* kernels,
                     const std::function<void(const TensorView&)>& check) {
  const std::optional<FillPattern> pattern = source.fill_of(name);
  if (kernels != nullptr && pattern && pattern->dtype == to.dtype) {
    const int64_t elements = source.info(name)->shape.elements();
    if (elements <= to.elements()) {
      device.activate();
      kernels->fill({.pattern = *pattern, .to = to.data, .count = elements},
                    {.stream = device.stream()});
    }
    return elements * size_of(to.dtype);
  }
  const Tensor tensor = read_tensor_as(source, name, to.dtype);
  if (check) check(tensor.view());
  if (tensor.bytes() <= to.bytes()) device.upload(to.data, tensor.data(), tensor.bytes());
  return tensor.bytes();
}

}  // namespace octavo
