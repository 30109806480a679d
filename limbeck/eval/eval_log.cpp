#include "limbeck/eval/eval_log.h"

#include "limbeck/base/error.h"
#include "limbeck/io/json.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstring>
#include <set>

namespace limbeck {
namespace {

using nlohmann::json;

constexpr const char* kVersionField = "limbeck_eval";

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

void compare_settings(const json& then, const json& now, const std::string& name) {
  std::set<std::string> keys;
  for (const json* settings : {&then, &now})
    for (const auto& [key, value] : settings->items()) keys.insert(key);
  for (const std::string& key : keys) {
    const json a = then.value(key, json()), b = now.value(key, json());
    if (a != b)
      throw Mismatch("[eval] {} was made with {} {}; found {} now; name another file to start anew",
                     name, key, a.dump(), b.dump());
  }
}

}  // namespace

EvalLog::EvalLog(const std::filesystem::path& path, const nlohmann::ordered_json& settings)
    : name_(path.string()) {
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file_ < 0) fail("cannot be opened");
  try {
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0) fail("is held by another run");
    nlohmann::ordered_json header;
    header[kVersionField] = 1;
    header["settings"] = settings;
    read(header.dump());
  } catch (...) {
    ::close(file_);
    throw;
  }
}

EvalLog::~EvalLog() { ::close(file_); }

void EvalLog::fail(const char* what) const {
  throw ResourceError("[eval] {} {}; {}", name_, what, std::strerror(errno));
}

void EvalLog::read(const std::string& header) {
  std::string text;
  try {
    text = read_all(file_);
  } catch (const std::system_error& e) {
    throw ResourceError("[eval] {} cannot be read; {}", name_, e.code().message());
  }
  const size_t whole = text.rfind('\n') + 1;  // 0 when there is no line end
  // A file without a line end is ours only if it is a header that was cut off.
  if (whole == 0 && !header.starts_with(text))
    throw FormatError("[eval] {} line 1: is no record of an evaluation", name_);
  if (whole < text.size()) {
    text.resize(whole);
    if (::ftruncate(file_, static_cast<off_t>(whole)) != 0) fail("cannot be cut to its last line");
  }
  if (text.empty()) return write_line(header);
  std::set<EvalKey> known;
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    const std::string what = fmt::format("[eval] {} line {}", name_, ++number);
    const json line = parse_json(std::string_view(text).substr(begin, end - begin), what);
    begin = end + 1;
    if (number == 1) {
      if (!line.is_object() || line.value(kVersionField, json()) != json(1) ||
          !line.value("settings", json()).is_object())
        throw FormatError("{}: is no record of an evaluation", what);
      compare_settings(line["settings"], json::parse(header)["settings"], name_);
      continue;
    }
    rows_.push_back(row_from_json(line, what));
    if (!known.insert(rows_.back().key).second)
      throw FormatError("{}: the same unit stands in an earlier line", what);
  }
}

void EvalLog::write_line(const std::string& line) {
  const std::string bytes = line + '\n';
  const off_t before = ::lseek(file_, 0, SEEK_END);
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::write(file_, bytes.data() + done, bytes.size() - done);
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

void EvalLog::append(EvalRow row) {
  write_line(row_to_json(row).dump());
  rows_.push_back(std::move(row));
}

}  // namespace limbeck
