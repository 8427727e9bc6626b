// Reading and searching a vocabulary.
// SPDX-License-Identifier: Apache-2.0
#include "text/vocabulary.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace octavo {

Vocabulary Vocabulary::read(const JsonObject& object) {
  Vocabulary vocabulary;
  vocabulary.ids_.reserve(object.size());
  for (const auto& [token, value] : object.json().items()) {
    const JsonField field(value, object.file(), object.path_of(token));
    const auto id = static_cast<int32_t>(field.as_int({0, kMaxTokenId}));
    if (const std::string* owner = vocabulary.token(id)) {
      throw field.mismatch(fmt::format("an id that \"{}\" does not have", printable(*owner)));
    }
    vocabulary.add(token, id);
  }
  return vocabulary;
}

bool Vocabulary::add(std::string_view token, int32_t id) {
  if (this->token(id) != nullptr) return false;
  const auto [entry, inserted] = ids_.emplace(token, id);
  if (!inserted) return false;
  const auto index = static_cast<size_t>(id);
  if (index >= tokens_.size()) tokens_.resize(index + 1);
  tokens_[index] = &entry->first;
  return true;
}

std::optional<int32_t> Vocabulary::find(std::string_view token) const {
  const auto entry = ids_.find(token);
  return entry == ids_.end() ? std::nullopt : std::optional(entry->second);
}

const std::string* Vocabulary::token(int32_t id) const {
  return id >= 0 && id < size() ? tokens_[static_cast<size_t>(id)] : nullptr;
}

}  // namespace octavo
