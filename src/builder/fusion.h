// Fusions: rewrite passes that turn consecutive calls into one; the unfused calls are their oracle.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "builder/build_options.h"
#include "program/program.h"

namespace octavo {

// A Program under construction, with where its merged weights come from.
struct Draft {
  Program program;
  // Weight of the Program → checkpoint tensors whose rows it concatenates. Absent: the tensor of
  // its own name.
  std::map<std::string, std::vector<std::string>> parts;

  std::vector<std::string> parts_of(const std::string& name) const {
    const auto it = parts.find(name);
    return it == parts.end() ? std::vector<std::string>{name} : it->second;
  }
};

// How a fusion competes with the calls that it replaces: each bucket of tokens has it where that
// was measured to be faster. Those that do stand at the end of the table.
enum class Competition {
  kNone,          // always better
  kCalls,         // its calls against theirs
  kBetweenRanks,  // so are calls between ranks, which are measured on all of them: all decide alike
  kKernels,       // its op has a kernel that runs those calls (KernelTraits::unfused): the choice
                  // among kernels decides, and a bucket where that is the fastest stays as it was
};

struct Fusion {
  std::string_view name;
  bool (*enabled)(const BuildConfig& options);
  void (*apply)(Draft& draft);
  Competition competition = Competition::kNone;
};

// In the order in which they run.
std::span<const Fusion> fusion_table();

void fuse_qkv(Draft& draft);             // q, k, v → one linear with three segments
void fuse_gate_up(Draft& draft);         // gate, up → one linear with two segments
void fuse_grouped_swiglu(Draft& draft);  // swiglu, grouped_quantize → one call
void fuse_linear_swiglu(Draft& draft);  // linear of gate and up, swiglu → one call, of experts too
void fuse_rope_kv_append(Draft& draft);      // rope(q), rope(k), kv_append → one call
void fuse_rope_attention(Draft& draft);      // rope_kv_append, attention → one call
void fuse_norm_linear(Draft& draft);         // add_rms_norm, linear → one call
void fuse_norm_linear_swiglu(Draft& draft);  // add_rms_norm, linear_swiglu → one call
void fuse_add_rms_norm(Draft& draft);        // add, rms_norm → one call
void fuse_reduce_norm(Draft& draft);         // all_reduce, add_rms_norm → one call
void fuse_user_buffers(Draft& draft);        // all_reduce_add_rms_norm reads where x was written
void fuse_shard_residual(Draft& draft);      // all_reduce_add_rms_norm → of each rank's rows
void fuse_quantize(
    Draft& draft);  // rms_norm, add_rms_norm, swiglu or attention, then quantize → one call

}  // namespace octavo
