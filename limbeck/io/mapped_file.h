/// A whole file, mapped read-only. Shared by everything that points into it.
///
/// Writers must rename, never rewrite: truncating a mapped file crashes its readers.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace limbeck {

class MappedFile {
 public:
  /// Throws ResourceError naming the path when it cannot be opened, is no regular file, or is
  /// empty.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  MappedFile() = default;
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace limbeck
