// Pieces of a report's page: one file, nothing loaded from elsewhere.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

namespace octavo {

std::string html_escaped(const std::string& text);
std::string html_table(std::span<const std::string> head,
                       std::span<const std::vector<std::string>> rows);
// `body` is HTML. The last column of a table is text, the others are numbers.
std::string html_page(const std::string& title, const std::string& body);

}  // namespace octavo
