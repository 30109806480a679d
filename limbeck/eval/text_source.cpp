#include "limbeck/eval/text_source.h"

#include "limbeck/base/error.h"
#include "limbeck/io/json.h"
#include "limbeck/io/mapped_file.h"
#include "limbeck/text/utf8.h"

#include <zstd.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>

namespace limbeck {
namespace {

namespace fs = std::filesystem;

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string read_field(const nlohmann::json& object, const char* field, bool needed,
                       const std::string& what) {
  const auto it = object.find(field);
  if (it == object.end()) {
    if (needed) throw FormatError("{}: field \"{}\" is missing", what, field);
    return {};
  }
  if (!it->is_string())
    throw FormatError("{}: field \"{}\" must be a text; found {}", what, field, it->type_name());
  return it->get<std::string>();
}

SourceText read_line(std::string_view line, const std::string& what, std::string name) {
  const nlohmann::json object = parse_json(line, what);
  if (!object.is_object())
    throw FormatError("{}: a line must be an object; found {}", what, object.type_name());
  SourceText out{read_field(object, "title", false, what), read_field(object, "text", true, what)};
  if (out.text.empty()) throw FormatError("{}: field \"text\" must not be empty", what);
  if (out.name.empty()) out.name = std::move(name);
  return out;
}

std::vector<SourceText> read_lines(std::string_view text, const fs::path& path) {
  std::vector<SourceText> out;
  int64_t number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    out.push_back(read_line(line, fmt::format("[texts] {} line {}", path.string(), number),
                            fmt::format("{}:{}", path.filename().string(), number)));
  }
  if (out.empty()) throw FormatError("[texts] {}: needs a line with a text", path.string());
  return out;
}

SourceText read_plain(const fs::path& path) {
  const auto file = MappedFile::open(path);
  std::string_view text = as_text(file->bytes());
  if (static_cast<int64_t>(text.size()) > kSourceTextCap)
    throw FormatError("[texts] {}: a text must not exceed {} bytes; found {}", path.string(),
                      kSourceTextCap, text.size());
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a mark, not text
  if (text.empty()) throw FormatError("[texts] {}: the text is empty", path.string());
  if (const auto bad = find_invalid_utf8(text))
    throw FormatError("[texts] {}: a text must be UTF-8; found an invalid byte at {}",
                      path.string(), *bad);
  return {path.filename().string(), std::string(text)};
}

std::vector<SourceText> read_folder(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().extension() == ".txt")
      files.push_back(entry.path());
  if (files.empty())
    throw ResourceError("[texts] {}: the folder has no .txt file", folder.string());
  std::sort(files.begin(), files.end());
  std::vector<SourceText> out;
  int64_t bytes = 0;
  for (const fs::path& file : files) {
    out.push_back(read_plain(file));
    bytes += static_cast<int64_t>(out.back().text.size());
    if (bytes > kSourceTextCap)
      throw FormatError("[texts] {}: the texts of a folder must not exceed {} bytes",
                        folder.string(), kSourceTextCap);
  }
  return out;
}

}  // namespace

std::string zstd_decompress(std::span<const std::byte> bytes, std::string_view what, int64_t cap) {
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                   ZSTD_freeDCtx);
  LIMBECK_CHECK(context != nullptr, "no zstd context");
  std::string out, block(ZSTD_DStreamOutSize(), '\0');
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  size_t wanted = 1;  // 0 = at the end of a frame
  bool full = true;   // the last block was filled: more may be waiting inside the decoder
  while (in.pos < in.size || (full && wanted != 0)) {
    ZSTD_outBuffer piece{block.data(), block.size(), 0};
    wanted = ZSTD_decompressStream(context.get(), &piece, &in);
    if (ZSTD_isError(wanted) != 0)
      throw FormatError("{}: not a good zstd file; {}", what, ZSTD_getErrorName(wanted));
    if (static_cast<int64_t>(out.size() + piece.pos) > cap)
      throw FormatError("{}: more than {} bytes after decompression", what, cap);
    out.append(block, 0, piece.pos);
    full = piece.pos == piece.size;
  }
  if (wanted != 0)
    throw FormatError("{}: the zstd data is cut off after {} bytes of content", what, out.size());
  return out;
}

std::vector<SourceText> read_source_texts(const std::filesystem::path& path) {
  if (fs::is_directory(path)) return read_folder(path);
  const std::string name = path.filename().string();
  if (!name.ends_with(".jsonl") && !name.ends_with(".jsonl.zst")) return {read_plain(path)};
  const auto file = MappedFile::open(path);
  if (name.ends_with(".jsonl")) return read_lines(as_text(file->bytes()), path);
  return read_lines(zstd_decompress(file->bytes(), "[texts] " + path.string()), path);
}

}  // namespace limbeck
