#include "limbeck/eval/tasks/published/jsonl_file.h"

#include "limbeck/base/error.h"
#include "limbeck/io/checksum.h"
#include "limbeck/io/json.h"
#include "limbeck/io/json_place.h"
#include "limbeck/io/mapped_file.h"
#include "limbeck/io/quote.h"

#include <algorithm>
#include <utility>

namespace limbeck {
namespace {

using nlohmann::json;

bool is_json_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string_view view_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

std::string file_what(const std::filesystem::path& path) {
  return "[tasks] " + path.filename().string();
}

bool is_empty_file(const std::filesystem::path& path) {
  std::error_code error;  // what is no file is for the one that opens it to say
  return std::filesystem::is_regular_file(path, error) &&
         std::filesystem::file_size(path, error) == 0;
}

/// What is wrong with an empty file is its content.
std::shared_ptr<const MappedFile> open_filled(const std::filesystem::path& path) {
  if (is_empty_file(path))
    throw FormatError("{}: must have a record; found an empty file", file_what(path));
  return MappedFile::open(path);
}

}  // namespace

JsonRecord::JsonRecord(json value, std::string what)
    : JsonRecord(std::make_shared<const json>(std::move(value)), std::move(what), "", nullptr) {}

JsonRecord::JsonRecord(std::shared_ptr<const json> value, std::string what, std::string path,
                       std::shared_ptr<const MappedFile> whole)
    : value_(std::move(value)),
      what_(std::move(what)),
      path_(std::move(path)),
      whole_(std::move(whole)) {
  if (value_->is_object()) return;
  if (path_.empty())
    throw FormatError("{}: must be an object; found {}", what_, value_->type_name());
  throw FormatError("{}: field {} must be an object; found {}", place(path_), quote(path_),
                    value_->type_name());
}

std::string JsonRecord::place(std::string_view path) const {
  if (whole_ == nullptr) return what_;
  return fmt::format("{} line {}", what_, json_line_of(view_of(*whole_), path));
}

std::string JsonRecord::field_name(std::string_view field) const {
  return path_.empty() ? std::string(field) : path_ + "." + std::string(field);
}

void JsonRecord::fail(std::string_view field, std::string_view rule) const {
  const std::string name = field_name(field);
  throw FormatError("{}: field {} {}", place(name), quote(name), rule);
}

bool JsonRecord::has(std::string_view field) const {
  const auto it = value_->find(std::string(field));
  return it != value_->end() && !it->is_null();
}

const json& JsonRecord::value(std::string_view field) const {
  const auto it = value_->find(std::string(field));
  if (it == value_->end() || it->is_null()) fail(field, "is missing");
  return *it;
}

const std::string& JsonRecord::text(std::string_view field) const {
  const json& found = value(field);
  if (!found.is_string()) fail(field, fmt::format("must be a text; found {}", found.type_name()));
  return found.get_ref<const std::string&>();
}

const std::string& JsonRecord::filled_text(std::string_view field) const {
  const std::string& found = text(field);
  if (found.empty()) fail(field, "must not be empty");
  return found;
}

std::string JsonRecord::text_or(std::string_view field, std::string_view otherwise) const {
  return has(field) ? text(field) : std::string(otherwise);
}

int64_t JsonRecord::integer(std::string_view field, int64_t low, int64_t high) const {
  const json& found = value(field);
  if (found.is_boolean() && low <= 0 && high >= 1) return found.get<bool>() ? 1 : 0;
  // An unsigned value above INT64_MAX would turn negative.
  const bool fits =
      found.is_number_integer() &&
      (!found.is_number_unsigned() || found.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX));
  if (!fits || found.get<int64_t>() < low || found.get<int64_t>() > high)
    fail(field, fmt::format("must be a whole number in [{}, {}]; found {}", low, high,
                            found.is_number() ? found.dump() : found.type_name()));
  return found.get<int64_t>();
}

std::string JsonRecord::name(std::string_view field) const {
  const json& found = value(field);
  return found.is_number_integer() ? found.dump() : text(field);
}

std::vector<std::string> JsonRecord::texts(std::string_view field) const {
  const json& found = value(field);
  if (!found.is_array()) fail(field, fmt::format("must be a list; found {}", found.type_name()));
  std::vector<std::string> out;
  out.reserve(found.size());
  for (const json& item : found) {
    if (!item.is_string())
      fail(fmt::format("{}[{}]", field, out.size()),
           fmt::format("must be a text; found {}", item.type_name()));
    out.push_back(item.get<std::string>());
  }
  return out;
}

std::vector<std::string> JsonRecord::text_or_texts(std::string_view field) const {
  if (value(field).is_string()) return {text(field)};
  return texts(field);
}

std::vector<JsonRecord> JsonRecord::records(std::string_view field) const {
  const json& found = value(field);
  if (!found.is_array()) fail(field, fmt::format("must be a list; found {}", found.type_name()));
  std::vector<JsonRecord> out;
  out.reserve(found.size());
  for (const json& item : found) {
    // Shares ownership of the whole record, points at the item.
    const std::shared_ptr<const json> shared(value_, &item);
    out.push_back({shared, what_, fmt::format("{}[{}]", field_name(field), out.size()), whole_});
  }
  return out;
}

JsonlFile::JsonlFile(const std::filesystem::path& path) : path_(path), file_(open_filled(path)) {
  const std::string_view all = text();
  const auto first = std::find_if_not(all.begin(), all.end(), is_json_blank);
  is_array_ = first != all.end() && *first == '[';
  if (is_array_)
    index_array(all);
  else
    index_lines(all);
  if (places_.empty()) throw FormatError("{}: must have a record; found none", file_what(path_));
}

std::string_view JsonlFile::text() const { return view_of(*file_); }

void JsonlFile::index_lines(std::string_view all) {
  int64_t line = 0;
  for (size_t begin = 0; begin < all.size();) {
    const size_t end = std::min(all.find('\n', begin), all.size());
    ++line;
    const std::string_view row = all.substr(begin, end - begin);
    if (!std::all_of(row.begin(), row.end(), is_json_blank)) places_.push_back({begin, end, line});
    begin = end + 1;
  }
}

/// Finds the items by brackets and quotes alone, so that the others stand when one is broken.
void JsonlFile::index_array(std::string_view all) {
  int64_t depth = 0, line = 1;
  bool in_text = false, ended = false;
  Place item{0, 0, 0};
  const auto close_item = [&](size_t end) {
    if (item.line > 0) places_.push_back({item.begin, end, item.line});
    item.line = 0;
  };
  for (size_t at = 0; at < all.size(); ++at) {
    const char c = all[at];
    if (c == '\n') ++line;
    if (ended) {
      if (is_json_blank(c)) continue;
      throw FormatError("{} line {}: must have nothing behind the list that begins the file",
                        file_what(path_), line);
    }
    if (in_text) {
      if (c == '\\') ++at;
      if (c == '"') in_text = false;
      continue;
    }
    if (depth == 1 && (c == ',' || c == ']')) {
      close_item(at);
      ended = c == ']';
      continue;
    }
    if (depth == 1 && item.line == 0 && !is_json_blank(c)) item = {at, at, line};
    if (c == '"') in_text = true;
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && --depth < 1) break;
  }
  if (!ended)
    throw FormatError("{}: the list that begins the file must end; found line {} as its last",
                      file_what(path_), line);
}

std::string JsonlFile::what(int64_t index) const {
  check_document_index(path_.filename().string(), index, size());
  const std::string line =
      fmt::format("{} line {}", file_what(path_), places_[static_cast<size_t>(index)].line);
  return is_array_ ? fmt::format("{}, record {}", line, index + 1) : line;
}

std::string JsonlFile::stem() const { return path_.stem().string(); }

JsonRecord JsonlFile::record(int64_t index) const {
  const std::string place = what(index);
  const Place& at = places_[static_cast<size_t>(index)];
  return {parse_json(text().substr(at.begin, at.end - at.begin), place), place};
}

std::string file_hash(const std::filesystem::path& path) {
  Hasher128 hash;
  if (!is_empty_file(path)) hash.update(MappedFile::open(path)->bytes());
  return hash_hex(hash.digest());
}

JsonRecord read_json_object(const std::filesystem::path& path) {
  const auto file = open_filled(path);
  const std::string what = file_what(path);
  return {std::make_shared<const json>(parse_json(view_of(*file), what)), what, "", file};
}

std::string file_document_id(int64_t index) { return fmt::format("0-{}", index); }

void check_document_index(std::string_view task, int64_t index, int64_t size) {
  if (index < 0 || index >= size)
    throw InvalidArgument("[tasks] {} has documents 0 to {}; found {}", task, size - 1, index);
}

}  // namespace limbeck
