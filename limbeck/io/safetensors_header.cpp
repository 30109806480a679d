#include "limbeck/io/safetensors_header.h"

#include "limbeck/base/error.h"
#include "limbeck/io/json.h"
#include "limbeck/io/quote.h"

#include <nlohmann/json.hpp>

#include <limits>
#include <set>
#include <utility>

namespace limbeck {
namespace {

using nlohmann::json;

constexpr size_t kMaxDims = 64;  // what torch can represent

/// Walks the header event by event and throws at the first one that has no place there. The format
/// has four levels, so the handler needs no stack: that bounds the nesting as well.
class HeaderHandler {
 public:
  HeaderHandler(std::string_view file, SafetensorsHeader& header) : file_(file), header_(header) {}

  // The events of the JSON library, under the names that it prescribes.
  bool null() { return unexpected("null"); }
  bool boolean(bool /*value*/) { return unexpected("true or false"); }
  bool number_float(double /*value*/, const std::string& text) {
    return unexpected(fmt::format("the number {}", quote(text)));
  }
  bool binary(json::binary_t& /*value*/) { return unexpected("binary data"); }

  bool number_integer(int64_t value) { return unexpected(fmt::format("{}", value)); }

  bool number_unsigned(uint64_t value) {
    if (level_ != Level::list) return unexpected(fmt::format("the number {}", value));
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return unexpected(fmt::format("{}", value));
    }
    const size_t limit = field_ == "shape" ? kMaxDims : 2;
    if (list_.size() == limit) {
      fail(fmt::format("field \"{}\" holds at most {} numbers; found more", field_, limit));
    }
    list_.push_back(static_cast<int64_t>(value));
    return true;
  }

  bool string(std::string& text) {
    if (level_ == Level::metadata) {
      header_.metadata[field_] = std::move(text);
      return true;
    }
    if (level_ != Level::tensor || field_ != "dtype") return unexpected("a text");
    const auto type = dtype_from_name(text);
    if (!type) {
      fail(fmt::format("dtype must be F64, F32, F16, BF16, I64, I32, I16, I8, U8 or BOOL; found {}",
                       quote(text)));
    }
    entry_.dtype = *type;
    return true;
  }

  bool start_object(size_t /*size*/) {
    switch (level_) {
      case Level::outside: level_ = Level::top; return true;
      case Level::top:
        level_ = in_metadata_ ? Level::metadata : Level::tensor;
        fields_.clear();
        return true;
      default: return unexpected("an object");
    }
  }

  bool key(std::string& text) {
    if (level_ == Level::top) return top_key(text);
    if (level_ == Level::tensor && text != "dtype" && text != "shape" && text != "data_offsets") {
      fail(fmt::format("fields are dtype, shape and data_offsets; found {}", quote(text)));
    }
    if (!fields_.insert(text).second) fail(fmt::format("key {} appears twice", quote(text)));
    field_ = std::move(text);
    return true;
  }

  bool end_object() {
    if (level_ == Level::tensor) finish_tensor();
    // At the end of the document the parser checks that nothing follows.
    level_ = level_ == Level::top ? Level::outside : Level::top;
    return true;
  }

  bool start_array(size_t /*size*/) {
    if (level_ != Level::tensor || field_ == "dtype") return unexpected("a list");
    level_ = Level::list;
    list_.clear();
    return true;
  }

  bool end_array() {
    level_ = Level::tensor;
    if (field_ == "shape") {
      entry_.shape = list_;
    } else if (list_.size() == 2) {
      entry_.begin = list_[0];
      entry_.end = list_[1];
    } else {
      fail(fmt::format("field \"data_offsets\" must hold 2 numbers; found {}", list_.size()));
    }
    return true;
  }

  bool parse_error(size_t position, const std::string& /*token*/,
                   const json::exception& /*error*/) {
    // The library's text quotes the input at any length; the position is what a person can use.
    throw FormatError("[safetensors] {}: header is no valid JSON; the error is at its byte {}",
                      file_, position);
  }

 private:
  enum class Level { outside, top, metadata, tensor, list };

  bool top_key(std::string& text) {
    in_metadata_ = text == "__metadata__";
    if (!names_.insert(text).second) {
      throw FormatError("[safetensors] {}: name {} appears twice in the header", file_,
                        quote(text));
    }
    entry_ = SafetensorsEntry{};
    entry_.name = std::move(text);
    return true;
  }

  void finish_tensor() {
    for (const char* field : {"dtype", "shape", "data_offsets"}) {
      if (!fields_.contains(field)) fail(fmt::format("field \"{}\" is missing", field));
    }
    header_.entries.push_back(std::move(entry_));
  }

  bool unexpected(std::string_view found) const {
    switch (level_) {
      case Level::outside:
        throw FormatError("[safetensors] {}: header must be an object; found {}", file_, found);
      case Level::top: fail(fmt::format("value must be an object; found {}", found));
      case Level::metadata:
        throw FormatError("[safetensors] {}: metadata {} must be a text; found {}", file_,
                          quote(field_), found);
      case Level::tensor:
        fail(fmt::format("field \"{}\" must be {}; found {}", field_,
                         field_ == "dtype" ? "a text" : "a list of non-negative integers", found));
      case Level::list:
        fail(fmt::format("field \"{}\" must hold non-negative integers below 2^63; found {}",
                         field_, found));
    }
    return false;
  }

  [[noreturn]] void fail(std::string_view rule) const {
    if (in_metadata_) throw FormatError("[safetensors] {}: __metadata__: {}", file_, rule);
    throw FormatError("[safetensors] {}: tensor {}: {}", file_, quote(entry_.name), rule);
  }

  std::string_view file_;
  SafetensorsHeader& header_;
  Level level_ = Level::outside;
  bool in_metadata_ = false;
  SafetensorsEntry entry_;
  std::string field_;             // the key whose value comes next
  std::set<std::string> fields_;  // keys seen in the current object
  std::set<std::string> names_;   // keys seen at the top
  std::vector<int64_t> list_;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, std::string_view file) {
  const std::string what = fmt::format("[safetensors] {}: header", file);
  check_json_text(text, what, {});
  if (!text.starts_with('{')) {
    throw FormatError("{} must begin with '{{'; found byte {}", what,
                      text.empty() ? 0 : static_cast<unsigned char>(text[0]));
  }
  SafetensorsHeader header;
  HeaderHandler handler(file, header);
  try {
    json::sax_parse(text.begin(), text.end(), &handler);
  } catch (const json::exception& error) {
    throw FormatError("{} is no valid JSON; error {} of the parser", what, error.id);
  }
  return header;
}

}  // namespace limbeck
