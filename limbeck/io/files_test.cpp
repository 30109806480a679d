// Mapped files, atomic files, checksums, and names in error texts.
#include "limbeck/base/error.h"
#include "limbeck/io/atomic_file.h"
#include "limbeck/io/checksum.h"
#include "limbeck/io/mapped_file.h"
#include "limbeck/io/quote.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>

namespace limbeck {
namespace {

using test::as_bytes;
using test::error_text;
using test::ScratchFolder;

TEST(MappedFileTest, ShowsTheBytesOfTheFile) {
  const ScratchFolder folder;
  const auto file = MappedFile::open(folder.write("x", "hello"));
  ASSERT_EQ(file->bytes().size(), 5u);
  EXPECT_EQ(std::memcmp(file->bytes().data(), "hello", 5), 0);
  EXPECT_EQ(file->path(), folder.path() / "x");
}

TEST(MappedFileTest, OutlivesTheNameOfTheFile) {
  const ScratchFolder folder;
  const auto file = MappedFile::open(folder.write("x", "hello"));
  std::filesystem::remove(folder.path() / "x");
  EXPECT_EQ(std::memcmp(file->bytes().data(), "hello", 5), 0);
}

TEST(MappedFileTest, RefusesWhatIsNoFileWithContent) {
  const ScratchFolder folder;
  const auto refusal = [](const std::filesystem::path& path) {
    return error_text<ResourceError>([&] { MappedFile::open(path); });
  };
  EXPECT_NE(refusal(folder.path() / "none").find("none: cannot be opened; No such file"),
            std::string::npos);
  EXPECT_NE(refusal(folder.path()).find("must be a regular file; found a folder"),
            std::string::npos);
  EXPECT_NE(refusal(folder.write("empty", "")).find("must not be empty"), std::string::npos);
  ASSERT_EQ(::mkfifo((folder.path() / "pipe").c_str(), 0600), 0);
  EXPECT_NE(refusal(folder.path() / "pipe").find("must be a regular file"), std::string::npos);
}

TEST(AtomicFileTest, AppearsWithCommitOnly) {
  const ScratchFolder folder;
  const auto target = folder.write("x", "old");
  AtomicFile file(target);
  file.write("new ");
  file.write(as_bytes("text"));
  EXPECT_EQ(file.written(), 8);
  EXPECT_EQ(test::read_file(target), "old");
  file.commit();
  EXPECT_EQ(test::read_file(target), "new text");
  EXPECT_EQ(folder.count(), 1u);
}

TEST(AtomicFileTest, LeavesNothingBehindWithoutCommit) {
  const ScratchFolder folder;
  {
    AtomicFile file(folder.path() / "x");
    file.write("text");
    EXPECT_EQ(folder.count(), 1u);
  }
  EXPECT_EQ(folder.count(), 0u);
}

TEST(AtomicFileTest, TwoWritersOfOneTargetDoNotMeet) {
  const ScratchFolder folder;
  AtomicFile first(folder.path() / "x"), second(folder.path() / "x");
  first.write("first");
  second.write("second");
  second.commit();
  first.commit();
  EXPECT_EQ(test::read_file(folder.path() / "x"), "first");
}

TEST(AtomicFileTest, ReportsFailuresAndCleansUp) {
  const ScratchFolder folder;
  const auto missing = error_text<ResourceError>([&] { AtomicFile(folder.path() / "no" / "x"); });
  EXPECT_NE(missing.find("cannot be created; No such file"), std::string::npos) << missing;
  std::filesystem::create_directory(folder.path() / "taken");
  const auto taken = error_text<ResourceError>([&] {
    AtomicFile file(folder.path() / "taken");
    file.commit();
  });
  EXPECT_NE(taken.find("cannot be put in place"), std::string::npos) << taken;
  EXPECT_EQ(folder.count(), 1u);
}

TEST(AtomicFileTest, AcceptsTheLongestNames) {
  const ScratchFolder folder;
  const std::string name(255, 'n');
  AtomicFile file(folder.path() / name);
  file.commit();
  EXPECT_TRUE(std::filesystem::exists(folder.path() / name));
}

TEST(AtomicFileTest, SweepRemovesOldLeftoversOnly) {
  const ScratchFolder folder;
  const auto age = [](const std::filesystem::path& path) {
    std::filesystem::last_write_time(
        path, std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
  };
  age(folder.write(".x.1-2.limbeck-tmp", "old"));
  folder.write(".y.1-3.limbeck-tmp", "new");
  age(folder.write("z.limbeck-tmp", "of somebody else"));
  sweep_atomic_leftovers(folder.path());
  EXPECT_FALSE(std::filesystem::exists(folder.path() / ".x.1-2.limbeck-tmp"));
  EXPECT_EQ(folder.count(), 2u);
  sweep_atomic_leftovers(folder.path() / "none");
}

TEST(ChecksumTest, EqualsThePublishedValues) {
  // Of the reference implementation's command line tool.
  EXPECT_EQ(hash_hex(xxh3_64({})), "2d06800538d394c2");
  EXPECT_EQ(hash_hex(xxh3_64(as_bytes("abc"))), "78af5f94892f3950");
  EXPECT_EQ(hash_hex(Hasher128().digest()), "99aa06d3014798d86001c324468d497f");
  Hasher128 hasher;
  hasher.update("abc");
  EXPECT_EQ(hash_hex(hasher.digest()), "06b05ab6733a618578af5f94892f3950");
}

TEST(ChecksumTest, StreamingDoesNotDependOnTheCuts) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += static_cast<char>(i * 7);
  Hasher128 whole, parts;
  whole.update(text);
  for (size_t at = 0; at < text.size(); at += 313)
    parts.update(std::string_view(text).substr(at, 313));
  EXPECT_EQ(whole.digest(), parts.digest());
  Hasher128 moved = std::move(parts);
  moved.update_u64(0x0807060504030201u);
  whole.update("\x01\x02\x03\x04\x05\x06\x07\x08");
  EXPECT_EQ(whole.digest(), moved.digest());
}

TEST(QuoteTest, ShowsNamesThatCannotHarmATerminal) {
  EXPECT_EQ(quote("größer ▁x 🙂"), "\"größer ▁x 🙂\"");
  EXPECT_EQ(quote("a\x1b[31m\"\n"), "\"a?[31m??\"");
  EXPECT_EQ(quote("\xff\xc2\x9bq\xe2\x96"), "\"???q??\"") << "broken UTF-8 and a C1 control code";
  EXPECT_EQ(quote(std::string(1000, 'x')), "\"" + std::string(80, 'x') + "...\"");
}

}  // namespace
}  // namespace limbeck
