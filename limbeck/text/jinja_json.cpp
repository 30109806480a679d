#include "limbeck/text/jinja_json.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace limbeck::jinja {
namespace {

template <class Json>
Value convert(const Json& json, int depth) {
  if (depth > kMaxDepth) throw Fault("input values nest at most {} deep; found more", kMaxDepth);
  switch (json.type()) {
    case Json::value_t::null: return None{};
    case Json::value_t::boolean: return json.template get<bool>();
    case Json::value_t::number_integer: return json.template get<int64_t>();
    case Json::value_t::number_unsigned: {
      const auto number = json.template get<uint64_t>();
      if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        throw Fault("integers have 64 bits with sign; found {}", number);
      }
      return static_cast<int64_t>(number);
    }
    case Json::value_t::number_float: return json.template get<double>();
    case Json::value_t::string:
      return Value::text(json.template get_ref<const std::string&>(), Origin::input);
    case Json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(convert(item, depth + 1));
      return Value::list(std::move(items));
    }
    case Json::value_t::object: {
      std::vector<std::pair<Value, Value>> entries;
      for (const auto& [key, item] : json.items()) {
        entries.emplace_back(Value::text(key, Origin::input), convert(item, depth + 1));
      }
      return Value::dict(std::move(entries));
    }
    default: throw Fault("input values are JSON; found {}", json.type_name());
  }
}

class Writer {
 public:
  explicit Writer(const JsonStyle& style) : style_(style) {}

  void write(const Value& value) {
    if (out_.size() > kMaxTextBytes) {
      throw Fault("a string has at most {} bytes; found more in tojson", kMaxTextBytes);
    }
    if (const Text* text = value.as_text()) return write_text(text->bytes());
    if (const List* list = value.as_list(); list && list->kind != ListKind::lazy) {
      return write_members('[', ']', list->items, [this](const Value& item) { write(item); });
    }
    if (const Dict* dict = value.as_dict()) return write_dict(*dict);
    if (!value.is_none() && !value.is_number()) {
      throw Fault("tojson takes data; found {}", value.type_name());
    }
    out_ += scalar(value);
  }

  std::string take() { return std::move(out_); }

 private:
  static std::string scalar(const Value& value) {
    if (value.is_none()) return "null";
    if (const auto* flag = std::get_if<bool>(&value.storage())) return *flag ? "true" : "false";
    const auto* number = std::get_if<double>(&value.storage());
    if (number && std::isnan(*number)) return "NaN";
    if (number && std::isinf(*number)) return *number < 0 ? "-Infinity" : "Infinity";
    return repr(value);
  }

  void new_line() {
    out_ += '\n';
    for (int i = 0; i < level_; ++i) out_ += *style_.indent;
  }

  template <class Members, class Write>
  void write_members(char open, char close, const Members& members, Write&& write_one) {
    out_ += open;
    ++level_;
    bool first = true;
    for (const auto& member : members) {
      if (!first) out_ += style_.item_separator;
      first = false;
      if (style_.indent) new_line();
      write_one(member);
    }
    --level_;
    if (!members.empty() && style_.indent) new_line();
    out_ += close;
  }

  void write_dict(const Dict& dict) {
    auto entries = dict.entries;
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [](const auto& a, const auto& b) { return less(a.first, b.first); });
    }
    write_members('{', '}', entries, [this](const auto& entry) {
      const Text* key = entry.first.as_text();
      if (!key && !entry.first.is_none() && !entry.first.is_number()) {
        throw Fault("keys in tojson are scalars; found {}", entry.first.type_name());
      }
      write_text(key ? key->bytes() : scalar(entry.first));
      out_ += style_.key_separator;
      write(entry.second);
    });
  }

  void write_text(std::string_view text) {
    out_ += '"';
    for (size_t at = 0; at < text.size();) {
      const Char c = char_at(text, at);
      write_char(c.code, text.substr(at, c.size));
      at += c.size;
    }
    out_ += '"';
  }

  void write_char(char32_t code, std::string_view bytes) {
    switch (code) {
      case '"': out_ += "\\\""; return;
      case '\\': out_ += "\\\\"; return;
      case '\n': out_ += "\\n"; return;
      case '\r': out_ += "\\r"; return;
      case '\t': out_ += "\\t"; return;
      case '\f': out_ += "\\f"; return;
      case '\b': out_ += "\\b"; return;
      default: break;
    }
    const auto number = static_cast<uint32_t>(code);
    // ensure_ascii spares DEL, as Python's does.
    if (number >= 0x20 && (number < 0x80 || !style_.ensure_ascii)) {
      out_ += bytes;
    } else if (number < 0x10000) {
      out_ += fmt::format("\\u{:04x}", number);
    } else {
      const uint32_t rest = number - 0x10000;
      out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
    }
  }

  const JsonStyle& style_;
  std::string out_;
  int level_ = 0;
};

}  // namespace

Value from_json(const nlohmann::json& json) { return convert(json, 1); }
Value from_json(const nlohmann::ordered_json& json) { return convert(json, 1); }

std::string to_json(const Value& value, const JsonStyle& style) {
  Writer writer(style);
  writer.write(value);
  return writer.take();
}

}  // namespace limbeck::jinja
