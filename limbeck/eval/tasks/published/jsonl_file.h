/// Records of a benchmark's file: one JSON object a line, or one JSON array of objects.
///
/// The file is indexed once; a record is parsed when it is asked for, so that a broken one costs
/// only its own document. Errors name file, line and field. Non-goals: compression, writing,
/// files that change while they are read.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

class MappedFile;

/// One JSON object with its place. Fields that are missing or null count as absent; wrong kinds
/// throw FormatError `[tasks] file.jsonl line 3: field "answers[0]" must be a text; found number`.
class JsonRecord {
 public:
  /// Throws FormatError when `value` is no object. `what` is the place: "[tasks] x.jsonl line 3".
  JsonRecord(nlohmann::json value, std::string what);

  const std::string& what() const { return what_; }
  /// The name of a field as errors call it: "data[2].title".
  std::string field_name(std::string_view field) const;

  bool has(std::string_view field) const;
  const std::string& text(std::string_view field) const;
  std::string text_or(std::string_view field, std::string_view otherwise) const;
  /// A whole number in [low, high]; booleans count as 0 and 1.
  int64_t integer(std::string_view field, int64_t low, int64_t high) const;
  /// A text, or a whole number as a text: ids and labels of some files are either.
  std::string name(std::string_view field) const;
  /// A text that has something in it: an empty answer would stand in every other.
  const std::string& filled_text(std::string_view field) const;
  std::vector<std::string> texts(std::string_view field) const;
  /// A list of texts or one text.
  std::vector<std::string> text_or_texts(std::string_view field) const;
  std::vector<JsonRecord> records(std::string_view field) const;
  /// The value as it is; throws when absent.
  const nlohmann::json& value(std::string_view field) const;

  /// FormatError for a field that breaks a rule: "must be one of A to D; found E".
  [[noreturn]] void fail(std::string_view field, std::string_view rule) const;

 private:
  friend JsonRecord read_json_object(const std::filesystem::path& path);
  JsonRecord(std::shared_ptr<const nlohmann::json> value, std::string what, std::string path,
             std::shared_ptr<const MappedFile> whole);
  /// The place of a field of that full name.
  std::string place(std::string_view path) const;

  std::shared_ptr<const nlohmann::json> value_;
  std::string what_, path_;
  std::shared_ptr<const MappedFile> whole_;  ///< where the line is to be found; null: known
};

class JsonlFile {
 public:
  /// Throws ResourceError when it cannot be opened, FormatError when it holds no record, an array
  /// that does not end, or something behind one.
  explicit JsonlFile(const std::filesystem::path& path);

  int64_t size() const { return static_cast<int64_t>(places_.size()); }
  /// Record `index` (from 0). Throws FormatError for a broken one, InvalidArgument for an index out
  /// of range.
  JsonRecord record(int64_t index) const;
  /// "[tasks] file.jsonl line 3", as errors name it; "[tasks] file.json line 1, record 17" of an
  /// array, whose items may share a line.
  std::string what(int64_t index) const;
  /// The file's name without folder and extension.
  std::string stem() const;

 private:
  struct Place {
    size_t begin, end;  ///< bytes
    int64_t line;       ///< from 1, where the record begins
  };
  void index_lines(std::string_view text);
  void index_array(std::string_view text);
  std::string_view text() const;

  std::filesystem::path path_;
  std::shared_ptr<const MappedFile> file_;
  std::vector<Place> places_;
  bool is_array_ = false;
};

/// The hash of a file's bytes, for the manifest; an empty file has one too. ResourceError.
std::string file_hash(const std::filesystem::path& path);

/// A whole file as one JSON object; errors name the line of their field. Throws ResourceError and
/// FormatError.
JsonRecord read_json_object(const std::filesystem::path& path);

/// Id of document `index` of a file's task.
std::string file_document_id(int64_t index);

/// Throws InvalidArgument unless 0 <= index < size.
void check_document_index(std::string_view task, int64_t index, int64_t size);

}  // namespace limbeck
