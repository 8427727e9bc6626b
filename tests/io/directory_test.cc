// Directories: hostile names, links that lead out, listing.
// SPDX-License-Identifier: Apache-2.0
#include "io/directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/test_support.h"

namespace octavo {
namespace {

TEST(Directory, PlainBasenames) {
  for (const char* name :
       {"a", "model-00001-of-00004.safetensors", ".hidden", "...", "a b", "\xff"}) {
    EXPECT_TRUE(is_plain_basename(name)) << name;
  }
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("/etc/passwd"),
        std::string("../x"), std::string("a/b"), std::string("a/"), std::string("a\0b", 3),
        std::string(256, 'x')}) {
    EXPECT_FALSE(is_plain_basename(name)) << name;
  }
}

struct HostileName {
  std::string name, file, message;
};
class DirectoryRefuses : public testing::TestWithParam<HostileName> {};

TEST_P(DirectoryRefuses, WithoutLeavingTheDirectory) {
  const TemporaryDirectory folder;
  folder.write("outside", "secret");
  folder.write("in/file", "data");
  folder.write("in/sub/file", "data");
  std::filesystem::create_symlink("../outside", folder / "in/link_out");
  std::filesystem::create_symlink((folder / "outside").string(), folder / "in/link_absolute");
  std::filesystem::create_symlink("sub/file", folder / "in/link_sub");
  std::filesystem::create_symlink("link_out", folder / "in/link_to_link");
  std::filesystem::create_symlink("loop", folder / "in/loop");
  std::filesystem::create_symlink("../../blobs/x", folder / "in/link_blob");
  make_fifo(folder / "in/fifo");
  const Directory directory = Directory::open(folder / "in");
  const Error error = error_of([&] { directory.open_file(GetParam().file); });
  EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
  EXPECT_THAT(error.what(), testing::HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Table, DirectoryRefuses,
    testing::Values(HostileName{"Parent", "../outside", "expected the plain name"},
                    HostileName{"Absolute", "/etc/passwd", "expected the plain name"},
                    HostileName{"Nested", "sub/file", "expected the plain name"},
                    HostileName{"Dot", ".", "expected the plain name"},
                    HostileName{"Nul", std::string("file\0x", 6), "got \"file\\x00x\""},
                    HostileName{"LinkOut", "link_out", "leads out of its directory"},
                    HostileName{"LinkAbsolute", "link_absolute", "leads out of its directory"},
                    HostileName{"LinkToSubdirectory", "link_sub", "leads out of its directory"},
                    HostileName{"LinkToBlobElsewhere", "link_blob", "leads out of its directory"},
                    HostileName{"LinkToLink", "link_to_link",
                                "is a symbolic link to a symbolic link"},
                    HostileName{"Loop", "loop", "is a symbolic link to a symbolic link"},
                    HostileName{"Subdirectory", "sub", "expected a regular file"},
                    HostileName{"Fifo", "fifo", "expected a regular file"},
                    HostileName{"Missing", "missing", "cannot open: No such file"}),
    [](const auto& info) { return info.param.name; });

TEST(Directory, FollowsLinksOfTheHubCache) {
  const TemporaryDirectory folder;
  folder.write("blobs/0a1b", "weights");
  std::filesystem::create_directories(folder / "snapshots/main");
  std::filesystem::create_symlink("../../blobs/0a1b", folder / "snapshots/main/model.safetensors");
  std::filesystem::create_symlink("model.safetensors", folder / "snapshots/main/twice");
  const Directory directory = Directory::open(folder / "snapshots/main");
  EXPECT_EQ(directory.open_file("model.safetensors").read_text(), "weights");
  EXPECT_THROW(directory.open_file("twice"), Error);
}

TEST(Directory, FollowsLinksWithinItself) {
  const TemporaryDirectory folder;
  folder.write("a", "data");
  std::filesystem::create_symlink("a", folder / "b");
  EXPECT_EQ(Directory::open(folder.path()).open_file("b").read_text(), "data");
}

TEST(Directory, CreatesListsAndRemoves) {
  const TemporaryDirectory folder;
  const Directory directory = Directory::open(folder.path());
  directory.create_file("b").finish();
  directory.create_file("a").finish();
  EXPECT_EQ(directory.list(), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(directory.contains("a"));
  EXPECT_FALSE(directory.contains("c"));
  EXPECT_EQ(error_of([&] { directory.create_file("a"); }).category(), ErrorCategory::kEnvironment);
  directory.remove_file("a");
  directory.remove_file("a");
  EXPECT_EQ(directory.list(), (std::vector<std::string>{"b"}));
  EXPECT_THROW(Directory::open(folder / "b"), Error);
}

}  // namespace
}  // namespace octavo
