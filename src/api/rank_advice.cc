// Advice about ranks.
// SPDX-License-Identifier: Apache-2.0
#include "api/rank_advice.h"

#include <fmt/format.h>

#include "backend/cuda/cuda_device.h"

namespace octavo {
namespace {

constexpr std::string_view kWhichWhen =
    R"(  one program a GPU   where the model and its KV cache fit: most tokens a second, as nobody waits
  --tp_size N         every GPU has a part of every layer: the first token and each token sooner, and
                      room for a large model; two sums a layer go over the links (--reduce_fusion)
  --pp_size N         every GPU has some of the layers: room for a large model over slow links, with
                      as many requests in flight as there are stages; one alone is not faster
  both                stages of tensor parallel GPUs, for more GPUs than heads divide among
)";

}  // namespace

GpuPeers gpu_peers() {
  const auto gpus = static_cast<int>(cuda_devices().size());
  GpuPeers peers{.gpus = gpus, .apart = {}};
  for (int a = 0; a < gpus; ++a) {
    for (int b = a + 1; b < gpus; ++b) {
      if (!cuda_devices_reach(a, b) || !cuda_devices_reach(b, a)) peers.apart.emplace_back(a, b);
    }
  }
  return peers;
}

std::string rank_advice(const GpuPeers& peers) {
  if (peers.gpus < 2) return "";
  std::string text;
  if (peers.apart.empty())
    text = fmt::format("ranks             {} GPUs reach each other's memory\n", peers.gpus);
  for (const auto& [a, b] : peers.apart) {
    text += fmt::format(
        "ranks             GPUs {} and {} do not reach each other's memory: they share a model "
        "as processes that mpirun or torchrun starts, through NCCL\n",
        a, b);
  }
  return text + std::string(kWhichWhen);
}

}  // namespace octavo
