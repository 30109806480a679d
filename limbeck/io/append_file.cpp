#include "limbeck/io/append_file.h"

#include "limbeck/base/error.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace limbeck {
namespace {

std::string read_all(int file) {
  std::string out, block(1 << 16, '\0');
  while (true) {
    const ssize_t n = ::pread(file, block.data(), block.size(), static_cast<off_t>(out.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw std::system_error(errno, std::generic_category());
    if (n == 0) return out;
    out.append(block, 0, static_cast<size_t>(n));
  }
}

}  // namespace

AppendFile::AppendFile(const std::filesystem::path& path, std::string where)
    : name_(path.string()), where_(std::move(where)) {
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file_ < 0) fail("cannot be opened");
  try {
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0) fail("is held by another run");
    text_ = read_all(file_);
  } catch (const std::system_error& e) {
    ::close(file_);
    throw ResourceError("{} {} cannot be read; {}", where_, name_, e.code().message());
  } catch (...) {
    ::close(file_);
    throw;
  }
}

AppendFile::~AppendFile() { ::close(file_); }

void AppendFile::fail(const char* what) const {
  throw ResourceError("{} {} {}; {}", where_, name_, what, std::strerror(errno));
}

void AppendFile::truncate(int64_t bytes) {
  if (::ftruncate(file_, static_cast<off_t>(bytes)) != 0) fail("cannot be cut to its last line");
}

void AppendFile::write(std::string_view lines) {
  const off_t before = ::lseek(file_, 0, SEEK_END);
  for (size_t done = 0; done < lines.size();) {
    const ssize_t n = ::write(file_, lines.data() + done, lines.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int code = errno;
      if (::ftruncate(file_, before) != 0) fail("cannot be written, and its last line is cut off");
      errno = code;
      fail("cannot be written");
    }
    done += static_cast<size_t>(n);
  }
  // EINVAL: not a regular file (a pipe, /dev/null), which has nothing to sync.
  if (::fdatasync(file_) != 0 && errno != EINVAL && errno != EROFS) fail("cannot be synced");
}

}  // namespace limbeck
