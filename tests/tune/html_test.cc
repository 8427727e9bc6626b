// HTML of reports: what is escaped, and that a page loads nothing.
// SPDX-License-Identifier: Apache-2.0
#include "tune/html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(Html, TextCannotBecomeMarkup) {
  EXPECT_EQ(html_escaped("<a href=\"x\">&</a>"), "&lt;a href=&quot;x&quot;&gt;&amp;&lt;/a&gt;");
  const std::vector<std::string> head = {"<h>"};
  const std::vector<std::vector<std::string>> rows = {{"<r>"}};
  EXPECT_EQ(html_table(head, rows),
            "<table><tr><th>&lt;h&gt;</th></tr>\n<tr><td>&lt;r&gt;</td></tr>\n</table>\n");
  EXPECT_THAT(html_page("<t>", ""), testing::HasSubstr("<title>&lt;t&gt;</title>"));
}

TEST(Html, APageLoadsNothing) {
  const std::string page = html_page("title", "<p>body</p>");
  for (const char* word : {"http", "src=", "href=", "url(", "@import", "<script"})
    EXPECT_THAT(page, testing::Not(testing::HasSubstr(word)));
}

}  // namespace
}  // namespace octavo
