// HTML of reports.
// SPDX-License-Identifier: Apache-2.0
#include "tune/html.h"

#include <fmt/format.h>

namespace octavo {

std::string html_escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string html_table(std::span<const std::string> head,
                       std::span<const std::vector<std::string>> rows) {
  std::string html = "<table><tr>";
  for (const std::string& cell : head) html += "<th>" + html_escaped(cell) + "</th>";
  html += "</tr>\n";
  for (const std::vector<std::string>& row : rows) {
    html += "<tr>";
    for (const std::string& cell : row) html += "<td>" + html_escaped(cell) + "</td>";
    html += "</tr>\n";
  }
  return html + "</table>\n";
}

std::string html_page(const std::string& title, const std::string& body) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>\n"
      "<style>body{{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}}"
      "pre{{white-space:pre-wrap}}svg{{width:100%;background:#fafafa}}text{{font-size:13px}}.axis{{"
      "fill:none;stroke:#333}}"
      ".front{{fill:none;stroke:#06c;stroke-width:2}}.trial{{fill:#888}}.best{{fill:#c30}}"
      "table{{border-collapse:collapse}}td,th{{padding:.2em "
      ".7em;text-align:right;border-bottom:1px solid #ddd}}"
      "td:last-child,th:last-child{{text-align:left}}</style></head><body>\n{}</body></html>\n",
      html_escaped(title), body);
}

}  // namespace octavo
