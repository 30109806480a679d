/// A file of lines that only grows: what was written stays, whatever kills the program.
///
/// Goals: a line is on disk when write() returns, or the file is as before; a last line that was
/// cut off is removed when the file is opened; one writer at a time (the file is locked).
/// Non-goals: reading while writing, files larger than memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace limbeck {

class AppendFile {
 public:
  /// Opens or creates the file and reads its text. `where` begins every error: "[eval]". Throws
  /// ResourceError when it cannot be opened or read, or another run holds it.
  AppendFile(const std::filesystem::path& path, std::string where);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  const std::string& name() const { return name_; }
  /// What the file held when it was opened; empty again after take_text().
  std::string take_text() { return std::move(text_); }
  /// Cuts the file to its first `bytes` bytes. ResourceError.
  void truncate(int64_t bytes);
  /// Appends lines (each with its line end) in one go and syncs. ResourceError.
  void write(std::string_view lines);

 private:
  [[noreturn]] void fail(const char* what) const;

  std::string name_, where_, text_;
  int file_ = -1;
};

}  // namespace limbeck
