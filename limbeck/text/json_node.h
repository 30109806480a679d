/// A value inside a JSON document that knows its place, so that errors name the file and the field.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace limbeck {

/// Borrows the document and the file's name.
class JsonNode {
 public:
  JsonNode(const nlohmann::json& value, std::string path, const std::string& file)
      : value_(value), path_(std::move(path)), file_(file) {}

  /// Whether the object has the key with a value other than null.
  bool has(std::string_view key) const;
  JsonNode at(std::string_view key) const;  ///< throws FormatError when absent
  JsonNode at(size_t index) const;
  size_t size() const;  ///< of a list
  const std::string& text() const;
  int64_t integer() const;
  bool boolean() const;
  bool flag(std::string_view key, bool fallback) const;
  bool is_text() const { return value_.is_string(); }
  /// The `type` of a component.
  const std::string& type() const { return at("type").text(); }
  const nlohmann::json& object() const;
  const nlohmann::json& value() const { return value_; }
  const std::string& file() const { return file_; }
  /// Throws `[tokenizer] FILE: PATH RULE; found FOUND`.
  [[noreturn]] void fail(std::string_view rule, std::string_view found) const;

 private:
  const nlohmann::json& value_;
  std::string path_;
  const std::string& file_;
};

}  // namespace limbeck
