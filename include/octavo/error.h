// The one error type that Octavo throws: what went wrong, where, and its exit code.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace octavo {

enum class ErrorCategory {
  kGateFailed,   // a stated budget or gate was not met
  kUsage,        // an option or argument is wrong
  kBadFile,      // an input file is malformed
  kUnsupported,  // valid, but not something Octavo does
  kEnvironment,  // I/O, port, lock
  kOutOfMemory,  // does not fit in host or device memory
  kDevice,       // device or peer failure
  kInternal,     // always a bug
};

// Exit code of the CLI: 1 gate, 2 usage, 3 bad file, 4 unsupported, 5 environment, 6 memory, 7
// device, 70 internal.
int exit_code(ErrorCategory category);
std::string_view to_string(ErrorCategory category);

// Escapes control characters and invalid UTF-8, and cuts to `max_bytes`, so that hostile names are
// safe to print.
std::string printable(std::string_view text, size_t max_bytes = 200);

class Error : public std::runtime_error {
 public:
  Error(ErrorCategory category, std::string message)
      : std::runtime_error(std::move(message)), category_(category) {}

  // "<file>: <field>: <reason>"; `field` may be empty. File and field are made printable.
  Error(ErrorCategory category, std::string_view file, std::string_view field,
        std::string_view reason);

  ErrorCategory category() const { return category_; }
  const std::string& file() const { return file_; }
  const std::string& field() const { return field_; }

 private:
  ErrorCategory category_;
  std::string file_;
  std::string field_;
};

}  // namespace octavo
