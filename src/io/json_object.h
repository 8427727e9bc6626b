// Typed access to the fields of a JSON document, with errors that name the field.
// SPDX-License-Identifier: Apache-2.0
//
// The views point into the document, which must outlive them. A true is not a number, 1.5 and 1e3
// are not integers, and null counts as absent.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace octavo {

struct IntRange {
  int64_t min = std::numeric_limits<int64_t>::min();
  int64_t max = std::numeric_limits<int64_t>::max();
};
inline constexpr IntRange kPositiveInt32{1, std::numeric_limits<int32_t>::max()};
inline constexpr IntRange kNonNegativeInt32{0, std::numeric_limits<int32_t>::max()};

// Inclusive; values are finite in any case.
struct FloatRange {
  double min = std::numeric_limits<double>::lowest();
  double max = std::numeric_limits<double>::max();
};
// Every double that stays positive and finite as a normal float.
inline constexpr FloatRange kPositiveFloat{std::numeric_limits<float>::min(),
                                           std::numeric_limits<float>::max()};

class JsonObject;

// One value and where it stands.
class JsonField {
 public:
  // `file` and `path` name the value in errors; an empty path means the document itself.
  JsonField(const nlohmann::json& value, std::string file, std::string path = "");

  bool as_bool() const;
  int64_t as_int(IntRange range = {}) const;
  double as_float(FloatRange range = {}) const;  // integers are floats too
  const std::string& as_string() const;
  JsonObject as_object() const;
  std::vector<JsonField> as_array() const;
  std::vector<int64_t> as_ints(IntRange range = {}) const;
  std::vector<std::string> as_strings() const;

  bool is_bool() const;
  bool is_int() const;
  bool is_float() const;
  bool is_string() const;
  bool is_object() const;
  bool is_array() const;

  const nlohmann::json& json() const { return *value_; }
  const std::string& file() const { return file_; }
  const std::string& path() const { return path_; }

  // Error(kBadFile) "<file>: <path>: expected <expected>, got <this value>".
  [[nodiscard]] Error mismatch(std::string_view expected) const;
  // Error(kUnsupported) "<file>: <path>: <this value> is not supported; supported: <supported>".
  [[nodiscard]] Error not_supported(std::string_view supported) const;

 private:
  const nlohmann::json* value_;
  std::string file_, path_;
};

class JsonObject {
 public:
  // Error(kBadFile) when `value` is not an object.
  JsonObject(const nlohmann::json& value, std::string file, std::string path = "");
  explicit JsonObject(JsonField field);

  bool has(std::string_view key) const { return optional(key).has_value(); }
  JsonField required(std::string_view key, std::string_view expected = "a value") const;
  std::optional<JsonField> optional(std::string_view key) const;

  bool required_bool(std::string_view key) const;
  int64_t required_int(std::string_view key, IntRange range = {}) const;
  double required_float(std::string_view key, FloatRange range = {}) const;
  std::string required_string(std::string_view key) const;
  JsonObject required_object(std::string_view key) const;
  std::vector<JsonField> required_array(std::string_view key) const;

  std::optional<bool> optional_bool(std::string_view key) const;
  std::optional<int64_t> optional_int(std::string_view key, IntRange range = {}) const;
  std::optional<double> optional_float(std::string_view key, FloatRange range = {}) const;
  std::optional<std::string> optional_string(std::string_view key) const;
  std::optional<JsonObject> optional_object(std::string_view key) const;
  std::optional<std::vector<JsonField>> optional_array(std::string_view key) const;

  std::vector<std::string> keys() const;  // sorted; null members too
  size_t size() const;

  const nlohmann::json& json() const { return field_.json(); }
  const std::string& file() const { return field_.file(); }
  const std::string& path() const { return field_.path(); }
  std::string path_of(std::string_view key) const;

 private:
  JsonField field_;
};

}  // namespace octavo
