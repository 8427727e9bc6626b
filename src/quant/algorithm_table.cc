// The table of quantization formats: one line each.
// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "core/error.h"
#include "quant/algorithm.h"

namespace octavo {
namespace {

constexpr std::array kFormats = {
    QuantFormat{"fp8", "FP8 E4M3 weights and inputs, one static scale each per linear", kFp8Linear,
                &kMaxAlgorithm},
    QuantFormat{"fp8_pc_pt",
                "FP8 E4M3, one static scale an output channel of the weight, one scale a token of "
                "the input made at run time",
                kFp8PerChannelPerToken, &kMaxAlgorithm},
    QuantFormat{"fp8_block",
                "FP8 E4M3, one static scale a block of 128 x 128 of the weight, one scale a token "
                "and 128 channels of the input made at run time",
                kFp8Block, &kMaxAlgorithm},
    QuantFormat{"int8_wo", "8-bit integer weights, one scale an output channel; inputs in 16 bit",
                kInt8WeightOnly, &kMaxAlgorithm},
    QuantFormat{"int4_awq",
                "4-bit integer weights, one scale a row and 128 columns, channels scaled by what "
                "activates them; inputs in 16 bit",
                kInt4WeightOnly, &kMaxAlgorithm, /*activation_aware=*/true},
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
