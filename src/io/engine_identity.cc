// Hashes of engine directories.
// SPDX-License-Identifier: Apache-2.0
#include "io/engine_identity.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <nlohmann/json.hpp>

namespace octavo {

std::string engine_build_id(const nlohmann::json& manifest, const nlohmann::json& plans) {
  nlohmann::json content = manifest;
  content.erase("octavo_engine");
  return file_checksum(content.dump() + plans.dump());
}

std::string engine_rank_file(size_t rank) { return fmt::format("rank{}.engine", rank); }

std::string file_checksum(std::string_view content) {
  return fmt::format("{:016x}", XXH3_64bits(content.data(), content.size()));
}

}  // namespace octavo
