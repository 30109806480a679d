// The typed view of an open file: what callers ask for after the checks.
#include "limbeck/base/error.h"
#include "limbeck/io/gguf.h"
#include "limbeck/io/gguf_data.h"
#include "limbeck/io/quote.h"

namespace limbeck {
namespace {

template <class T>
const T* find_value(const std::string& file, const GgufMetadata& metadata, std::string_view key,
                    std::string_view wanted) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return nullptr;
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) {
    throw FormatError("[gguf] {}: metadata {} must be {}; found {}", file, quote(key), wanted,
                      gguf_value_kind(found->second));
  }
  return value;
}

template <class T>
std::optional<T> copied(const T* value) {
  return value != nullptr ? std::optional<T>(*value) : std::nullopt;
}

[[noreturn]] void missing(const std::string& file, std::string_view key) {
  throw FormatError("[gguf] {}: metadata {} is required; found nothing", file, quote(key));
}

}  // namespace

int GgufFile::version() const { return data_->version; }

const std::string& GgufFile::name() const { return data_->name; }

const GgufMetadata& GgufFile::metadata() const { return data_->metadata; }

const std::vector<GgufTensor>& GgufFile::tensors() const { return data_->tensors; }

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = data_->index.find(name);
  return found == data_->index.end() ? nullptr : &data_->tensors[found->second];
}

std::optional<std::string> GgufFile::text(std::string_view key) const {
  return copied(find_value<std::string>(name(), metadata(), key, "a text"));
}

std::optional<int64_t> GgufFile::integer(std::string_view key) const {
  return copied(find_value<int64_t>(name(), metadata(), key, "an integer"));
}

std::optional<double> GgufFile::number(std::string_view key) const {
  const auto found = metadata().find(key);
  if (found != metadata().end()) {
    if (const auto* whole = std::get_if<int64_t>(&found->second)) {
      return static_cast<double>(*whole);
    }
  }
  return copied(find_value<double>(name(), metadata(), key, "a number"));
}

std::optional<bool> GgufFile::boolean(std::string_view key) const {
  return copied(find_value<bool>(name(), metadata(), key, "true or false"));
}

const std::vector<std::string>* GgufFile::texts(std::string_view key) const {
  return find_value<std::vector<std::string>>(name(), metadata(), key, "a list of texts");
}

const std::vector<int64_t>* GgufFile::integers(std::string_view key) const {
  return find_value<std::vector<int64_t>>(name(), metadata(), key, "a list of integers");
}

const std::vector<double>* GgufFile::numbers(std::string_view key) const {
  return find_value<std::vector<double>>(name(), metadata(), key, "a list of numbers");
}

std::string GgufFile::require_text(std::string_view key) const {
  auto value = text(key);
  if (!value) missing(name(), key);
  return *std::move(value);
}

int64_t GgufFile::require_integer(std::string_view key) const {
  const auto value = integer(key);
  if (!value) missing(name(), key);
  return *value;
}

}  // namespace limbeck
