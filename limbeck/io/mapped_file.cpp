#include "limbeck/io/mapped_file.h"

#include "limbeck/base/error.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace limbeck {
namespace {

std::string reason(int code) { return std::generic_category().message(code); }

/// Closes on every way out: the mapping outlives the descriptor.
struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe by mistake must fail the regular-file check, not wait for a writer.
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) {
    throw ResourceError("[mapped_file] {}: cannot be opened; {}", path.string(), reason(errno));
  }
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) {
    throw ResourceError("[mapped_file] {}: cannot be examined; {}", path.string(), reason(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    throw ResourceError("[mapped_file] {}: must be a regular file; found {}", path.string(),
                        S_ISDIR(status.st_mode) ? "a folder" : "a device, pipe or socket");
  }
  if (status.st_size <= 0) {
    throw ResourceError("[mapped_file] {}: must not be empty; found {} bytes", path.string(),
                        status.st_size);
  }
  std::shared_ptr<MappedFile> mapped(new MappedFile);
  const auto size = static_cast<size_t>(status.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (data == MAP_FAILED) {
    throw ResourceError("[mapped_file] {}: {} bytes cannot be mapped; {}", path.string(), size,
                        reason(errno));
  }
  mapped->data_ = static_cast<const std::byte*>(data);
  mapped->size_ = size;
  mapped->path_ = path;
  return mapped;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace limbeck
