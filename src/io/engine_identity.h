// Engine identity: hashes that tie all files of one build of an engine together.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace octavo {

// Of the whole manifest but its header "octavo_engine", which holds the id, and of the plans.
std::string engine_build_id(const nlohmann::json& manifest, const nlohmann::json& plans);

// "rank<r>.engine".
std::string engine_rank_file(size_t rank);

// Of a whole small file.
std::string file_checksum(std::string_view content);

}  // namespace octavo
