// Encoding of steps.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/step_wire.h"

#include <xxhash.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "comm/wire.h"

namespace octavo {
namespace {

// Calls between ranks in the order in which each plan makes them. The ranks of a stage must make
// the same, or they wait for each other for ever.
std::string calls_between_ranks(const EngineImage& image) {
  std::string text;
  for (const Plan& plan : image.plans) {
    text += fmt::format("plan {} {}\n", static_cast<int>(plan.kind), plan.max_tokens);
    for (const Call& call : plan.program.calls) {
      if (!is_communication(call.op)) continue;
      text += std::to_string(static_cast<int>(call.op));
      if (const auto* norm = std::get_if<ReduceNormParams>(&call.params))
        text += norm->sharded ? " sharded" : "";
      if (const auto* group = std::get_if<GroupParams>(&call.params))
        text += group->by_rows ? " rows" : " columns";
      for (const TensorId id : call.outputs) {
        const ProgramTensor& tensor = plan.program.tensor(id);
        text += fmt::format(" {} {}", to_string(tensor.dtype), to_string(tensor.shape));
      }
      text += '\n';
    }
  }
  return text;
}

// Of a rank's stage; rank 0 compares those of one stage.
void agree_on_calls(ProcessGroup& processes, const EngineImage& image) {
  WireWriter own;
  own.put(image.rank / image.config.tp_size);
  const std::string calls = calls_between_ranks(image);
  own.put(uint64_t{XXH3_64bits(calls.data(), calls.size())});
  processes.exchange(own.take(), [](const std::vector<std::string>& all) {
    std::map<int64_t, uint64_t> of_stage;
    for (size_t rank = 0; rank < all.size(); ++rank) {
      WireReader reader(all[rank]);
      const auto stage = reader.number<int64_t>();
      const auto calls = reader.number<uint64_t>();
      if (of_stage.emplace(stage, calls).first->second == calls) continue;
      throw Error(ErrorCategory::kUnsupported,
                  fmt::format("rank {} has other calls between ranks than those of its stage: the "
                              "ranks' engines are of different builds",
                              rank));
    }
    return std::string();
  });
}

void check_step(bool fits) {
  if (!fits) throw Error(ErrorCategory::kDevice, "rank 0 sent a step that does not fit");
}

}  // namespace

std::string encode_step(const Batch& batch, const SymbolValues& sizes, bool is_decode) {
  WireWriter writer;
  writer.put(static_cast<uint8_t>(is_decode));
  for (const int64_t size :
       {sizes.tokens, sizes.sequences, sizes.logit_rows, sizes.cache_blocks, sizes.table_width})
    writer.put(size);
  writer.put(batch.table_width);
  for (const auto* list :
       {&batch.token_ids, &batch.positions, &batch.query_start, &batch.query_length,
        &batch.kv_length, &batch.block_table, &batch.logit_rows})
    writer.put(*list);
  writer.put(batch.slots);
  return writer.take();
}

StepMessage decode_step(std::string_view bytes, const SymbolValues& maxima) {
  WireReader reader(bytes);
  StepMessage step{.is_decode = reader.number<uint8_t>() != 0};
  SymbolValues& sizes = step.sizes;
  for (int64_t* size : {&sizes.tokens, &sizes.sequences, &sizes.logit_rows, &sizes.cache_blocks,
                        &sizes.table_width})
    *size = reader.number<int64_t>();
  Batch& batch = step.batch;
  batch.table_width = reader.number<int64_t>();
  for (auto* list : {&batch.token_ids, &batch.positions, &batch.query_start, &batch.query_length,
                     &batch.kv_length, &batch.block_table, &batch.logit_rows})
    *list = reader.list<int32_t>();
  batch.slots = reader.list<int64_t>();
  batch.token_slots.assign(batch.token_ids.size(), -1);
  check_step(reader.at_end() && sizes.tokens <= maxima.tokens &&
             sizes.sequences <= maxima.sequences && sizes.logit_rows <= maxima.logit_rows &&
             sizes.cache_blocks == maxima.cache_blocks && sizes.table_width == maxima.table_width);
  check_step(batch.table_width >= 0 && batch.table_width <= maxima.table_width &&
             std::ssize(batch.block_table) == sizes.sequences * batch.table_width &&
             std::ssize(batch.logit_rows) == sizes.logit_rows);
  for (const int64_t count :
       {std::ssize(batch.token_ids), std::ssize(batch.positions), std::ssize(batch.slots)})
    check_step(count == sizes.tokens);
  for (const int64_t count :
       {std::ssize(batch.query_start), std::ssize(batch.query_length), std::ssize(batch.kv_length)})
    check_step(count == sizes.sequences);
  return step;
}

SymbolValues agree_on_maxima(ProcessGroup& processes, const EngineImage& image,
                             const SymbolValues& own) {
  processes.agree("the engine's config.json", to_json(image.config).dump());
  agree_on_calls(processes, image);
  processes.agree("max_batch_size", std::to_string(own.sequences));
  processes.agree("max_num_tokens", std::to_string(own.tokens));
  WireWriter blocks;
  blocks.put(own.cache_blocks);
  const std::string least =
      processes.exchange(blocks.take(), [](const std::vector<std::string>& all) {
        int64_t fewest = WireReader(all.front()).number<int64_t>();
        for (const std::string& one : all)
          fewest = std::min(fewest, WireReader(one).number<int64_t>());
        WireWriter answer;
        answer.put(fewest);
        return answer.take();
      });
  SymbolValues agreed = own;
  agreed.cache_blocks = WireReader(least).number<int64_t>();
  return agreed;
}

}  // namespace octavo
