#include "limbeck/io/atomic_file.h"

#include "limbeck/base/error.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>

namespace limbeck {
namespace {

constexpr std::string_view kSuffix = ".limbeck-tmp";
constexpr auto kStaleAfter = std::chrono::hours(1);
// Names are limited to 255 bytes; what we add to the target's name needs fewer than 55.
constexpr size_t kKeptNameBytes = 200;
constexpr int kNameAttempts = 100;

std::string reason(int code) { return std::generic_category().message(code); }

std::filesystem::path folder_of(const std::filesystem::path& target) {
  return target.has_parent_path() ? target.parent_path() : std::filesystem::path(".");
}

/// Unique within the machine while the process lives; a leftover of a dead one only costs a retry.
std::filesystem::path temporary_name(const std::filesystem::path& target) {
  static std::atomic<uint64_t> counter{0};
  const std::string name = target.filename().string().substr(0, kKeptNameBytes);
  return folder_of(target) /
         fmt::format(".{}.{:x}-{:x}{}", name, ::getpid(), counter.fetch_add(1), kSuffix);
}

/// A rename survives a power cut only after the folder itself is on disk.
void sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    throw ResourceError("[atomic_file] {}: folder cannot be opened; {}", folder.string(),
                        reason(errno));
  }
  const int code = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  // EINVAL: some network file systems have no fsync for folders; nothing more can be done there.
  if (code != 0 && code != EINVAL) {
    throw ResourceError("[atomic_file] {}: folder cannot be synced; {}", folder.string(),
                        reason(code));
  }
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path target) : target_(std::move(target)) {
  if (!target_.has_filename()) {
    throw ResourceError("[atomic_file] target must name a file; found \"{}\"", target_.string());
  }
  for (int attempt = 0; attempt < kNameAttempts && file_ < 0; ++attempt) {
    temporary_ = temporary_name(target_);
    file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file_ < 0 && errno != EEXIST) break;
  }
  if (file_ < 0) {
    throw ResourceError("[atomic_file] {}: temporary file {} cannot be created; {}",
                        target_.string(), temporary_.filename().string(), reason(errno));
  }
}

AtomicFile::~AtomicFile() {
  if (file_ >= 0) ::close(file_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  LIMBECK_CHECK(file_ >= 0, "write after commit to {}", target_.string());
  while (!bytes.empty()) {
    const ssize_t count = ::write(file_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      throw ResourceError("[atomic_file] {}: write failed after {} bytes; {}", target_.string(),
                          written_, reason(count < 0 ? errno : ENOSPC));
    }
    written_ += count;
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

void AtomicFile::commit() {
  LIMBECK_CHECK(file_ >= 0, "second commit of {}", target_.string());
  if (::fsync(file_) != 0) {
    throw ResourceError("[atomic_file] {}: cannot be synced; {}", target_.string(), reason(errno));
  }
  // Network file systems report a full disk as late as here.
  if (::close(std::exchange(file_, -1)) != 0) {
    throw ResourceError("[atomic_file] {}: cannot be closed; {}", target_.string(), reason(errno));
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    throw ResourceError("[atomic_file] {}: cannot be put in place; {}", target_.string(),
                        reason(errno));
  }
  temporary_.clear();
  sync_folder(folder_of(target_));
}

void sweep_atomic_leftovers(const std::filesystem::path& folder) {
  // Best effort: another process may remove the same files, and a missing folder has no leftovers.
  std::error_code error;
  const auto now = std::filesystem::file_time_type::clock::now();
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with('.') || !name.ends_with(kSuffix)) continue;
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(it->symlink_status(ignored))) continue;
    const auto written = std::filesystem::last_write_time(it->path(), ignored);
    if (!ignored && now - written > kStaleAfter) std::filesystem::remove(it->path(), ignored);
  }
}

}  // namespace limbeck
