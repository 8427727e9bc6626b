// The header of a safetensors file.
// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors_header.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <tuple>

#include "core/checked.h"
#include "core/error.h"
#include "io/json.h"
#include "io/little_endian.h"

namespace octavo {
namespace {

struct FormatType {
  std::string_view name;
  int bits;
  std::optional<DType> dtype;
};

constexpr std::array<FormatType, 22> kTypes = {{
    {"F32", 32, DType::kF32}, {"BF16", 16, DType::kBF16},
    {"F16", 16, DType::kF16}, {"F8_E4M3", 8, DType::kE4M3},
    {"I32", 32, DType::kI32}, {"I64", 64, DType::kI64},
    {"U8", 8, DType::kU8},    {"BOOL", 8, {}},
    {"I8", 8, DType::kI8},    {"U16", 16, {}},
    {"I16", 16, {}},          {"U32", 32, {}},
    {"U64", 64, {}},          {"F64", 64, {}},
    {"C64", 64, {}},          {"F8_E5M2", 8, {}},
    {"F8_E8M0", 8, {}},       {"F8_E4M3FNUZ", 8, {}},
    {"F8_E5M2FNUZ", 8, {}},   {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}},       {"F4", 4, {}},
}};

const FormatType* find_type(std::string_view name) {
  const auto found = std::find_if(kTypes.begin(), kTypes.end(),
                                  [&](const FormatType& type) { return type.name == name; });
  return found == kTypes.end() ? nullptr : &*found;
}

// Reads the header in one pass without building a document: a legal header may hold a million
// entries.
class HeaderReader : public JsonEvents {
 public:
  void null() override { unexpected("null"); }
  void boolean(bool value) override { unexpected(value ? "true" : "false"); }
  void negative_integer(int64_t value) override { unexpected(fmt::format("{}", value)); }
  void number(double value) override { unexpected(fmt::format("{}", value)); }

  void unsigned_integer(uint64_t value) override {
    if (state_ == State::kShape) {
      if (!checked_cast<int64_t>(value))
        fail_field(fmt::format("dimension {} is too large", value));
      if (rank_ == Shape::kMaxRank)
        fail_field(fmt::format("expected at most {} dimensions", Shape::kMaxRank));
      dims_[rank_++] = static_cast<int64_t>(value);
    } else if (state_ == State::kOffsets) {
      if (offset_count_ == 2) fail_field("expected two offsets, got more");
      offsets_[offset_count_++] = value;
    } else {
      unexpected(fmt::format("{}", value));
    }
  }

  void string(std::string& value) override {
    if (state_ == State::kMetadata) {
      if (!metadata.try_emplace(key_, value).second) fail_duplicate(key_);
    } else if (state_ == State::kEntry && field_ == Field::kDType) {
      tensor_.dtype_name = value;
    } else {
      unexpected(fmt::format("\"{}\"", printable(value, 60)));
    }
  }

  void start_object() override {
    if (state_ == State::kStart) {
      state_ = State::kTop;
    } else if (state_ == State::kTop) {
      state_ = in_metadata_ ? State::kMetadata : State::kEntry;
      seen_ = {};
    } else {
      unexpected("an object");
    }
  }

  void start_array() override {
    if (state_ == State::kEntry && field_ == Field::kShape) {
      state_ = State::kShape;
      rank_ = 0;
    } else if (state_ == State::kEntry && field_ == Field::kOffsets) {
      state_ = State::kOffsets;
      offset_count_ = 0;
    } else {
      unexpected("an array");
    }
  }

  void end_array() override {
    if (state_ == State::kOffsets && offset_count_ != 2) {
      fail_field(fmt::format("expected two offsets, got {}", offset_count_));
    }
    state_ = State::kEntry;
  }

  void key(std::string& name) override {
    if (state_ == State::kTop) {
      in_metadata_ = name == "__metadata__";
      if (in_metadata_ && had_metadata_) fail_duplicate(name);
      had_metadata_ = had_metadata_ || in_metadata_;
      tensor_ = {.name = name};
      key_position_ = position();
    } else if (state_ == State::kMetadata) {
      key_ = name;
    } else {
      enter_field(name);
    }
  }

  void end_object() override {
    if (state_ == State::kEntry) {
      add_tensor();
      state_ = State::kTop;
    } else if (state_ == State::kMetadata) {
      state_ = State::kTop;
    }
  }

  std::vector<TensorInfo> tensors;      // offset and bytes hold the two offsets of the file
  std::vector<uint64_t> key_positions;  // of each tensor's name
  std::map<std::string, std::string> metadata;

 private:
  enum class State { kStart, kTop, kMetadata, kEntry, kShape, kOffsets };
  enum Field { kDType, kShape, kOffsets };
  static constexpr std::array<std::string_view, 3> kFieldNames = {"dtype", "shape", "data_offsets"};

  void enter_field(std::string_view name) {
    const auto found = std::find(kFieldNames.begin(), kFieldNames.end(), name);
    if (found == kFieldNames.end()) {
      fail_field(fmt::format("unknown field \"{}\"; expected dtype, shape, data_offsets",
                             printable(name)));
    }
    field_ = static_cast<Field>(found - kFieldNames.begin());
    if (seen_[field_]) fail_duplicate(name);
    seen_[field_] = true;
  }

  void add_tensor() {
    for (size_t field = 0; field < kFieldNames.size(); ++field) {
      if (!seen_[field]) fail_field(fmt::format("missing \"{}\"", kFieldNames[field]));
    }
    tensor_.shape = Shape(std::span<const int64_t>(dims_.data(), rank_));
    if (offsets_[0] > offsets_[1]) {
      fail_field(
          fmt::format("data_offsets end before they begin: [{}, {}]", offsets_[0], offsets_[1]));
    }
    tensor_.offset = offsets_[0];
    tensor_.bytes = offsets_[1];
    key_positions.push_back(key_position_);
    tensors.push_back(std::move(tensor_));
  }

  std::string where() const {
    if (state_ == State::kStart) return "header";
    if (in_metadata_) return "__metadata__";
    return tensor_.name.empty() ? "header" : fmt::format("tensor \"{}\"", printable(tensor_.name));
  }
  [[noreturn]] void fail_field(std::string_view reason) const {
    fail(fmt::format("{}: {}", where(), reason));
  }
  [[noreturn]] void fail_duplicate(std::string_view name) const {
    fail(fmt::format("duplicate key \"{}\"", printable(name)));
  }

  [[noreturn]] void unexpected(std::string_view got) const {
    fail_field(fmt::format("expected {}, got {}", expected(), got));
  }
  std::string_view expected() const {
    switch (state_) {
      case State::kStart:
      case State::kTop:
        return "an object";
      case State::kMetadata:
        return "a string";
      case State::kShape:
        return "a dimension (an integer from 0)";
      case State::kOffsets:
        return "an offset (an integer from 0)";
      case State::kEntry:
        break;
    }
    return field_ == Field::kDType ? "a string" : "an array of integers";
  }

  State state_ = State::kStart;
  bool in_metadata_ = false, had_metadata_ = false;
  std::string key_;
  TensorInfo tensor_;
  uint64_t key_position_ = 0;
  Field field_ = Field::kDType;
  std::array<bool, 3> seen_{};
  std::array<int64_t, Shape::kMaxRank> dims_{};
  int rank_ = 0;
  std::array<uint64_t, 2> offsets_{};
  int offset_count_ = 0;
};

std::string field_of(const TensorInfo& tensor) {
  return fmt::format("tensor \"{}\"", printable(tensor.name));
}

void refuse_duplicates(const HeaderReader& reader, std::string_view text, std::string_view file) {
  std::vector<size_t> order(reader.tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const int difference = reader.tensors[a].name.compare(reader.tensors[b].name);
    return difference != 0 ? difference < 0 : a < b;
  });
  for (size_t i = 1; i < order.size(); ++i) {
    const std::string& name = reader.tensors[order[i]].name;
    if (name == reader.tensors[order[i - 1]].name) {
      fail_json_at(text, file, reader.key_positions[order[i]],
                   fmt::format("duplicate key \"{}\"", printable(name)));
    }
  }
}

// Fills in the element type; byte length must be shape × dtype where the dtype is known at all.
void check_type(TensorInfo& tensor, std::string_view file) {
  const FormatType* type = find_type(tensor.dtype_name);
  // Zeros count as one here, so that no partial product of a shape can overflow anywhere later.
  std::optional<int64_t> bound = type ? type->bits : 8;
  bool empty = false;
  for (const int64_t dim : tensor.shape.dims()) {
    if (bound) bound = checked_mul(*bound, std::max(dim, int64_t{1}));
    empty = empty || dim == 0;
  }
  if (!bound)
    throw bad_file(file, field_of(tensor),
                   fmt::format("shape {} is too large", to_string(tensor.shape)));
  if (!type) return;
  const int64_t bits = empty ? 0 : *bound;
  if (bits % 8 != 0) {
    throw bad_file(
        file, field_of(tensor),
        fmt::format("{} {} does not fill whole bytes", tensor.dtype_name, to_string(tensor.shape)));
  }
  if (static_cast<uint64_t>(bits / 8) != tensor.bytes) {
    throw bad_file(file, field_of(tensor),
                   fmt::format("expected {} bytes for {} {}, got {}", bits / 8, tensor.dtype_name,
                               to_string(tensor.shape), tensor.bytes));
  }
  tensor.dtype = type->dtype;
}

// Ranges must follow each other and end with the file; empty tensors may share an offset.
void check_ranges(std::vector<TensorInfo>& tensors, uint64_t data_start, uint64_t file_size,
                  std::string_view file) {
  uint64_t end = 0;
  for (TensorInfo& tensor : tensors) {
    if (tensor.offset != end) {
      throw bad_file(file, field_of(tensor),
                     fmt::format("data_offsets {}: expected to begin at {}, got {}",
                                 tensor.offset < end ? "overlap the tensor before" : "leave a hole",
                                 end, tensor.offset));
    }
    end = tensor.bytes;
    tensor.bytes = end - tensor.offset;
  }
  const uint64_t data_bytes = file_size - data_start;
  if (end > data_bytes) {
    throw bad_file(
        file, "",
        fmt::format(
            "is {} bytes short: expected {} bytes of tensors, got {} (incomplete download?)",
            end - data_bytes, end, data_bytes));
  }
  if (end < data_bytes) {
    throw bad_file(
        file, "",
        fmt::format("has {} bytes after the last tensor; expected none", data_bytes - end));
  }
}

}  // namespace

DType TensorInfo::require_dtype(std::string_view file) const {
  if (dtype) return *dtype;
  std::string supported;
  for (const FormatType& type : kTypes) {
    if (type.dtype) supported += fmt::format("{}{}", supported.empty() ? "" : ", ", type.name);
  }
  throw unsupported(file, field_of(*this),
                    fmt::format("element type \"{}\" is not supported; supported: {}",
                                printable(dtype_name, 60), supported));
}

uint64_t safetensors_header_length(std::span<const std::byte, 8> prefix, uint64_t file_size,
                                   std::string_view file) {
  const uint64_t length = load_little_endian(prefix);
  if (length > kMaxSafetensorsHeaderBytes) {
    throw bad_file(
        file, "header length",
        fmt::format("expected at most {} bytes, got {}", kMaxSafetensorsHeaderBytes, length));
  }
  if (length + 8 > file_size) {
    throw bad_file(
        file, "header length",
        fmt::format("header of {} bytes does not fit in a file of {} bytes", length, file_size));
  }
  return length;
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> header, uint64_t file_size,
                                           std::string_view file) {
  const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
  const auto data_start = checked_add<uint64_t>(header.size(), 8);
  if (!data_start || *data_start > file_size)
    throw bad_file(file, "header", "does not fit in the file");
  HeaderReader reader;
  parse_json_events(
      text, file, {.bytes = kMaxSafetensorsHeaderBytes, .values = 100'000'000, .allow_bom = false},
      reader);
  refuse_duplicates(reader, text, file);

  std::vector<TensorInfo> tensors = std::move(reader.tensors);
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
  });
  check_ranges(tensors, *data_start, file_size, file);
  for (TensorInfo& tensor : tensors) {
    check_type(tensor, file);
    tensor.offset += *data_start;  // no overflow: within the file
  }
  return {std::move(tensors), std::move(reader.metadata)};
}

std::string_view safetensors_name(DType dtype) {
  const auto found = std::find_if(kTypes.begin(), kTypes.end(),
                                  [&](const FormatType& type) { return type.dtype == dtype; });
  OCTAVO_CHECK(found != kTypes.end());
  return found->name;
}

}  // namespace octavo
