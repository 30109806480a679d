#include "limbeck/text/json_node.h"

#include "limbeck/base/error.h"

namespace limbeck {

bool JsonNode::has(std::string_view key) const {
  const auto it = object().find(key);
  return it != value_.end() && !it->is_null();
}

JsonNode JsonNode::at(std::string_view key) const {
  const auto it = object().find(key);
  const std::string path = path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  if (it == value_.end()) {
    throw FormatError("[tokenizer] {}: {} is required; found none", file_, path);
  }
  return {*it, path, file_};
}

JsonNode JsonNode::at(size_t index) const {
  return {value_[index], fmt::format("{}[{}]", path_, index), file_};
}

size_t JsonNode::size() const {
  if (!value_.is_array()) fail("must be a list", value_.type_name());
  return value_.size();
}

const std::string& JsonNode::text() const {
  if (!value_.is_string()) fail("must be a text", value_.type_name());
  return value_.get_ref<const std::string&>();
}

int64_t JsonNode::integer() const {
  if (!value_.is_number_integer()) fail("must be an integer", value_.type_name());
  if (value_.is_number_unsigned() && value_.get<uint64_t>() > INT64_MAX) {
    fail("must fit in 63 bits", value_.dump());
  }
  return value_.get<int64_t>();
}

bool JsonNode::boolean() const {
  if (!value_.is_boolean()) fail("must be true or false", value_.type_name());
  return value_.get<bool>();
}

bool JsonNode::flag(std::string_view key, bool fallback) const {
  return has(key) ? at(key).boolean() : fallback;
}

const nlohmann::json& JsonNode::object() const {
  if (!value_.is_object()) fail("must be an object", value_.type_name());
  return value_;
}

void JsonNode::fail(std::string_view rule, std::string_view found) const {
  throw FormatError("[tokenizer] {}: {} {}; found {}", file_,
                    path_.empty() ? "the document" : path_, rule, found);
}

}  // namespace limbeck
