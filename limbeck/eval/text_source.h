/// Texts to evaluate on, out of files that people have.
///
/// A .jsonl or .jsonl.zst file (one object a line: "text", optionally "title"), a folder of .txt
/// files, or any other file as one plain text. Non-goals: other compressions, streaming.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

struct SourceText {
  std::string name;  ///< title, else "books.jsonl:3" (line) or the file's name
  std::string text;  ///< valid UTF-8, not empty
};

/// Text bytes that one path may hold, after decompression.
inline constexpr int64_t kSourceTextCap = 2'000'000'000;

/// All texts of a path, in order (a folder's by name). Throws ResourceError for what cannot be
/// opened and FormatError naming file, line and field.
std::vector<SourceText> read_source_texts(const std::filesystem::path& path);

/// The content of zstd frames. FormatError `what: rule; found values` for damage, a frame that is
/// cut off, or more than `cap` bytes of content.
std::string zstd_decompress(std::span<const std::byte> bytes, std::string_view what,
                            int64_t cap = kSourceTextCap);

}  // namespace limbeck
