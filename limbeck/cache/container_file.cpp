#include "limbeck/cache/container_file.h"

#include "limbeck/base/error.h"
#include "limbeck/cache/container.h"
#include "limbeck/cache/container_checks.h"
#include "limbeck/cache/container_json.h"
#include "limbeck/io/checksum.h"
#include "limbeck/io/json.h"
#include "limbeck/io/quote.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

namespace limbeck {
namespace {

constexpr uint64_t kLengthBytes = 8;

/// Where the last tensor ends according to a safetensors header; 0 when it cannot be told.
uint64_t stated_data_end(std::string_view header, const std::string& name) {
  uint64_t end = 0;
  try {
    const nlohmann::json document = parse_json(header, name);
    for (const auto& entry : document) {
      if (!entry.is_object() || !entry.contains("data_offsets")) continue;
      const auto& offsets = entry["data_offsets"];
      if (offsets.is_array() && offsets.size() == 2 && offsets[1].is_number_unsigned())
        end = std::max(end, offsets[1].get<uint64_t>());
    }
  } catch (const FormatError&) {
    return 0;
  }
  return end;
}

/// Throws when the file is shorter than its own header says; called once it is known to be bad.
void explain_truncation(std::span<const std::byte> bytes, const std::string& name) {
  uint64_t length = 0;
  if (bytes.size() < kLengthBytes) return;
  std::memcpy(&length, bytes.data(), sizeof length);
  const uint64_t size = bytes.size(), most = JsonLimits{}.max_bytes;
  if (length > most) return;
  if (kLengthBytes + length > size)
    throw FormatError("[kvc.load] {}: truncated: {} of at least {} bytes", name, size,
                      kLengthBytes + length);
  const auto header = bytes.subspan(kLengthBytes, length);
  const uint64_t end =
      stated_data_end({reinterpret_cast<const char*>(header.data()), header.size()}, name);
  // A header that states more than 2^62 bytes lies; its own error says so better.
  if (end < (uint64_t{1} << 62) && kLengthBytes + length + end > size)
    throw FormatError("[kvc.load] {}: truncated: {} of {} bytes", name, size,
                      kLengthBytes + length + end);
}

SafetensorsFile parse_or_explain(std::span<const std::byte> bytes, const std::string& name) {
  try {
    return SafetensorsFile::parse(bytes, name);
  } catch (const FormatError&) {
    explain_truncation(bytes, name);
    throw;
  }
}

const std::string& metadata(const SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end())
    throw FormatError("[kvc.load] {}: no .kvc file; metadata {} is missing", file.name(), key);
  return found->second;
}

/// "1.0" -> {1, 0}
std::optional<std::pair<int64_t, int64_t>> parse_version(std::string_view text) {
  int64_t major = 0, minor = 0;
  const char* end = text.data() + text.size();
  const auto digit = [&](const char* at) { return at != end && *at >= '0' && *at <= '9'; };
  if (!digit(text.data())) return std::nullopt;
  const auto first = std::from_chars(text.data(), end, major);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '.' || !digit(first.ptr + 1))
    return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, minor);
  if (second.ec != std::errc() || second.ptr != end) return std::nullopt;
  return std::pair{major, minor};
}

}  // namespace

ContainerFile container_open(std::span<const std::byte> bytes, const std::string& name,
                             bool verify_hash) {
  ContainerFile out{parse_or_explain(bytes, name), {}, 0};
  if (const std::string& format = metadata(out.file, "format"); format != kContainerFormat)
    throw FormatError("[kvc.load] {}: no .kvc file; metadata format must be kvc, found {}", name,
                      quote(format));
  out.document = metadata(out.file, "kvc");
  const std::string& expected = metadata(out.file, "kvc_xxh3");
  const std::string& version = metadata(out.file, "version");
  const std::string found = hash_hex(xxh3_64(std::as_bytes(std::span(out.document))));
  if (verify_hash && found != expected)
    throw FormatError("[kvc.load] {}: checksum of the kvc document is {}, header says {}", name,
                      short_hash(found), short_hash(expected));
  const auto numbers = parse_version(version);
  if (!numbers)
    throw FormatError("[kvc.load] {}: metadata version must be major.minor; found {}", name,
                      quote(version));
  if (numbers->first != kContainerMajor)
    throw FormatError("[kvc.load] {}: format {}.{}, this build reads {}.x", name, numbers->first,
                      numbers->second, kContainerMajor);
  out.minor = numbers->second;
  return out;
}

std::string cache_describe(const std::filesystem::path& path) {
  const auto mapping = MappedFile::open(path);
  return container_open(mapping->bytes(), path.filename().string(), true).document;
}

}  // namespace limbeck
