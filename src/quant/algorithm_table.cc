// The table of quantization formats: one line each.
// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "core/error.h"
#include "quant/algorithm.h"

namespace octavo {
namespace {

constexpr std::array kFormats = {
    QuantFormat{"fp8", "FP8 E4M3 weights and inputs, one static scale each per linear",
                kFp8PerTensor, &kMaxAlgorithm},
    QuantFormat{"full_prec",
                "linears stay in 16 bit (for an FP8 KV cache alone, or as a reference)",
                {},
                nullptr},
};

}  // namespace

std::span<const QuantFormat> quant_formats() { return kFormats; }

const QuantFormat& find_quant_format(std::string_view name) {
  std::string supported;
  for (const QuantFormat& format : kFormats) {
    if (format.name == name) return format;
    supported += (supported.empty() ? "" : ", ") + std::string(format.name);
  }
  throw Error(ErrorCategory::kUnsupported,
              fmt::format("--qformat: expected one of {}, got \"{}\"", supported, printable(name)));
}

}  // namespace octavo
