// inspect and doctor: what a folder holds, and what this machine can do.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace octavo {

struct InspectOptions {
  std::filesystem::path dir;  // checkpoint or engine
  bool scales = false;        // list every scale
  bool kernels = false;       // list the kernel of every call
};

// As text for people, or as one JSON object.
std::string inspect(const InspectOptions& options, bool json);
std::string doctor(bool json);

}  // namespace octavo
