// Typed access to the fields of a JSON document.
// SPDX-License-Identifier: Apache-2.0
#include "io/json_object.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/checked.h"

namespace octavo {
namespace {

std::string describe(const nlohmann::json& value) {
  if (value.is_string())
    return fmt::format("\"{}\"", printable(value.get_ref<const std::string&>(), 60));
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  return value.dump();  // null, booleans and numbers: a short text
}

std::string describe(IntRange range) {
  const bool open = range.min == IntRange{}.min && range.max == IntRange{}.max;
  return open ? "an integer" : fmt::format("an integer in [{}, {}]", range.min, range.max);
}

std::string describe(FloatRange range) {
  const bool open = range.min == FloatRange{}.min && range.max == FloatRange{}.max;
  return open ? "a number" : fmt::format("a number in [{:g}, {:g}]", range.min, range.max);
}

std::optional<int64_t> integer_of(const nlohmann::json& value) {
  if (value.is_number_unsigned()) return checked_cast<int64_t>(value.get<uint64_t>());
  if (value.is_number_integer()) return value.get<int64_t>();
  return std::nullopt;
}

}  // namespace

JsonField::JsonField(const nlohmann::json& value, std::string file, std::string path)
    : value_(&value), file_(std::move(file)), path_(std::move(path)) {}

bool JsonField::is_bool() const { return value_->is_boolean(); }
bool JsonField::is_int() const { return value_->is_number_integer(); }
bool JsonField::is_float() const { return value_->is_number(); }
bool JsonField::is_string() const { return value_->is_string(); }
bool JsonField::is_object() const { return value_->is_object(); }
bool JsonField::is_array() const { return value_->is_array(); }

Error JsonField::mismatch(std::string_view expected) const {
  return bad_file(file_, path_, fmt::format("expected {}, got {}", expected, describe(*value_)));
}

Error JsonField::not_supported(std::string_view supported) const {
  return unsupported(
      file_, path_,
      fmt::format("{} is not supported; supported: {}", describe(*value_), supported));
}

bool JsonField::as_bool() const {
  if (!is_bool()) throw mismatch("true or false");
  return value_->get<bool>();
}

int64_t JsonField::as_int(IntRange range) const {
  const std::optional<int64_t> value = integer_of(*value_);
  if (!value || *value < range.min || *value > range.max) throw mismatch(describe(range));
  return *value;
}

double JsonField::as_float(FloatRange range) const {
  if (!is_float()) throw mismatch(describe(range));
  const double value = value_->get<double>();
  if (!std::isfinite(value) || value < range.min || value > range.max)
    throw mismatch(describe(range));
  return value;
}

const std::string& JsonField::as_string() const {
  if (!is_string()) throw mismatch("a string");
  return value_->get_ref<const std::string&>();
}

JsonObject JsonField::as_object() const { return JsonObject(*this); }

std::vector<JsonField> JsonField::as_array() const {
  if (!is_array()) throw mismatch("an array");
  std::vector<JsonField> elements;
  elements.reserve(value_->size());
  for (size_t i = 0; i < value_->size(); ++i) {
    elements.emplace_back((*value_)[i], file_, fmt::format("{}[{}]", path_, i));
  }
  return elements;
}

std::vector<int64_t> JsonField::as_ints(IntRange range) const {
  std::vector<int64_t> values;
  for (const JsonField& element : as_array()) values.push_back(element.as_int(range));
  return values;
}

std::vector<std::string> JsonField::as_strings() const {
  std::vector<std::string> values;
  for (const JsonField& element : as_array()) values.push_back(element.as_string());
  return values;
}

JsonObject::JsonObject(const nlohmann::json& value, std::string file, std::string path)
    : JsonObject(JsonField(value, std::move(file), std::move(path))) {}

JsonObject::JsonObject(JsonField field) : field_(std::move(field)) {
  if (!field_.is_object()) throw field_.mismatch("an object");
}

std::string JsonObject::path_of(std::string_view key) const {
  return path().empty() ? std::string(key) : fmt::format("{}.{}", path(), key);
}

std::optional<JsonField> JsonObject::optional(std::string_view key) const {
  const auto member = json().find(key);
  if (member == json().end() || member->is_null()) return std::nullopt;
  return JsonField(*member, file(), path_of(key));
}

JsonField JsonObject::required(std::string_view key, std::string_view expected) const {
  const auto member = json().find(key);
  if (member == json().end()) {
    throw bad_file(file(), path_of(key), fmt::format("missing; expected {}", expected));
  }
  return JsonField(*member, file(), path_of(key));
}

bool JsonObject::required_bool(std::string_view key) const {
  return required(key, "true or false").as_bool();
}
int64_t JsonObject::required_int(std::string_view key, IntRange range) const {
  return required(key, describe(range)).as_int(range);
}
double JsonObject::required_float(std::string_view key, FloatRange range) const {
  return required(key, describe(range)).as_float(range);
}
std::string JsonObject::required_string(std::string_view key) const {
  return required(key, "a string").as_string();
}
JsonObject JsonObject::required_object(std::string_view key) const {
  return required(key, "an object").as_object();
}
std::vector<JsonField> JsonObject::required_array(std::string_view key) const {
  return required(key, "an array").as_array();
}

std::optional<bool> JsonObject::optional_bool(std::string_view key) const {
  const auto field = optional(key);
  return field ? std::optional(field->as_bool()) : std::nullopt;
}
std::optional<int64_t> JsonObject::optional_int(std::string_view key, IntRange range) const {
  const auto field = optional(key);
  return field ? std::optional(field->as_int(range)) : std::nullopt;
}
std::optional<double> JsonObject::optional_float(std::string_view key, FloatRange range) const {
  const auto field = optional(key);
  return field ? std::optional(field->as_float(range)) : std::nullopt;
}
std::optional<std::string> JsonObject::optional_string(std::string_view key) const {
  const auto field = optional(key);
  return field ? std::optional(field->as_string()) : std::nullopt;
}
std::optional<JsonObject> JsonObject::optional_object(std::string_view key) const {
  const auto field = optional(key);
  return field ? std::optional(field->as_object()) : std::nullopt;
}
std::optional<std::vector<JsonField>> JsonObject::optional_array(std::string_view key) const {
  const auto field = optional(key);
  return field ? std::optional(field->as_array()) : std::nullopt;
}

std::vector<std::string> JsonObject::keys() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : json().items()) names.push_back(name);
  return names;
}

size_t JsonObject::size() const { return json().size(); }

}  // namespace octavo
