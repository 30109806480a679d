#include "limbeck/eval/text_source.h"

#include "limbeck/base/error.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>
#include <zstd.h>

namespace limbeck {
namespace {

using test::as_bytes;
using test::error_text;
using test::ScratchFolder;

std::string compress(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

const std::string kLines =
    "{\"text\": \"one\", \"title\": \"First\", \"year\": 1912}\r\n\n{\"text\": \"two\"}";

TEST(TextSourceTest, ReadsJsonLinesPlainAndCompressed) {
  const ScratchFolder folder;
  for (const auto& file :
       {folder.write("a.jsonl", kLines), folder.write("a.jsonl.zst", compress(kLines))}) {
    const auto texts = read_source_texts(file);
    ASSERT_EQ(texts.size(), 2U);
    EXPECT_EQ(texts[0].name, "First");
    EXPECT_EQ(texts[0].text, "one");
    EXPECT_EQ(texts[1].name, file.filename().string() + ":3");
    EXPECT_EQ(texts[1].text, "two");
  }
}

TEST(TextSourceTest, ReadsAPlainTextAndAFolderByName) {
  const ScratchFolder folder;
  folder.write("b.txt", "\xEF\xBB\xBFsecond");
  folder.write("a.txt", "first");
  folder.write("notes.md", "neither");
  const auto texts = read_source_texts(folder.path());
  ASSERT_EQ(texts.size(), 2U);
  EXPECT_EQ(texts[0].text, "first");
  EXPECT_EQ(texts[1].text, "second");
  EXPECT_EQ(read_source_texts(folder.path() / "notes.md").at(0).text, "neither");
}

TEST(TextSourceTest, NamesFileLineAndField) {
  const ScratchFolder folder;
  const auto error_of = [&](const std::string& lines) {
    const auto file = folder.write("x.jsonl", lines);
    return error_text<FormatError>([&] { read_source_texts(file); });
  };
  const std::string at = "[texts] " + (folder.path() / "x.jsonl").string();
  EXPECT_EQ(error_of("{\"text\": \"a\"}\n{\"title\": \"b\"}\n"),
            at + " line 2: field \"text\" is missing");
  EXPECT_EQ(error_of("{\"text\": 7}"), at + " line 1: field \"text\" must be a text; found number");
  EXPECT_EQ(error_of("{\"text\": \"a\", \"title\": []}"),
            at + " line 1: field \"title\" must be a text; found array");
  EXPECT_EQ(error_of("[1]"), at + " line 1: a line must be an object; found array");
  EXPECT_EQ(error_of("{\"text\": \"\"}"), at + " line 1: field \"text\" must not be empty");
  EXPECT_EQ(error_of("\n \n"), at + ": needs a line with a text");
  EXPECT_TRUE(error_of("{\"text\": \"a\"}\n{\"text\": ").starts_with(at + " line 2"));
}

TEST(TextSourceTest, RefusesBytesThatAreNoTextAndFoldersWithoutAny) {
  const ScratchFolder folder;
  const auto file = folder.write("x.md", "good \xFF bad");
  EXPECT_EQ(error_text<FormatError>([&] { read_source_texts(file); }),
            "[texts] " + file.string() + ": a text must be UTF-8; found an invalid byte at 5");
  EXPECT_THROW(read_source_texts(folder.path()), ResourceError);
  EXPECT_THROW(read_source_texts(folder.path() / "absent.jsonl"), ResourceError);
}

TEST(TextSourceTest, DecompressesSeveralFrames) {
  const std::string long_text(300'000, 'x');
  EXPECT_EQ(zstd_decompress(as_bytes(compress(long_text) + compress("end")), "t"),
            long_text + "end");
}

TEST(TextSourceTest, RefusesCutDamagedAndOverlongFrames) {
  const std::string good = compress(kLines);
  for (size_t size = 1; size < good.size(); ++size)
    EXPECT_THROW(zstd_decompress(as_bytes(good.substr(0, size)), "t"), FormatError) << size;
  EXPECT_THROW(zstd_decompress(as_bytes("plain text, no frame"), "t"), FormatError);
  EXPECT_THROW(zstd_decompress(as_bytes(good + "x"), "t"), FormatError);
  const std::string bomb = compress(std::string(1'000'000, 'x'));
  EXPECT_EQ(error_text<FormatError>([&] { zstd_decompress(as_bytes(bomb), "t", 1000); }),
            "t: more than 1000 bytes after decompression");
}

}  // namespace
}  // namespace limbeck
