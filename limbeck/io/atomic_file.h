/// Files that appear whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace limbeck {

/// Writes to a temporary file beside the target (O_EXCL); commit() syncs it, renames it over the
/// target and syncs the folder. Destroyed without commit, it removes the temporary file.
/// Every failure throws ResourceError with path and reason.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  int64_t written() const { return written_; }
  void commit();

 private:
  std::filesystem::path target_, temporary_;
  int file_ = -1;
  int64_t written_ = 0;
};

/// Removes temporary files that a crash left in `folder` and that are older than an hour.
void sweep_atomic_leftovers(const std::filesystem::path& folder);

}  // namespace limbeck
