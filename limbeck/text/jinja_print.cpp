#include <utf8proc.h>

#include <cmath>

#include "limbeck/text/jinja_value.h"

namespace limbeck::jinja {
namespace {

bool is_printable(char32_t code) {
  if (code < 0x80) return code >= 0x20 && code != 0x7F;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS: return false;
    default: return true;
  }
}

std::string escaped(char32_t code) {
  switch (code) {
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default: break;
  }
  const auto number = static_cast<uint32_t>(code);
  if (code < 0x100) return fmt::format("\\x{:02x}", number);
  if (code < 0x10000) return fmt::format("\\u{:04x}", number);
  return fmt::format("\\U{:08x}", number);
}

std::string repr_text(std::string_view text) {
  const bool doubled =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char32_t quote = doubled ? '"' : '\'';
  std::string result(1, static_cast<char>(quote));
  for (size_t at = 0; at < text.size();) {
    const Char c = char_at(text, at);
    if (c.code == quote) {
      result += '\\';
      result += static_cast<char>(quote);
    } else if (c.code == '\\' || !is_printable(c.code)) {
      result += escaped(c.code);
    } else {
      result.append(text.substr(at, c.size));
    }
    at += c.size;
  }
  result += static_cast<char>(quote);
  return result;
}

std::string repr_list(const List& list) {
  if (list.kind == ListKind::lazy) {
    throw Fault("a sequence without positions cannot be printed; pass it through | list");
  }
  const bool tuple = list.kind == ListKind::tuple;
  std::string result = tuple ? "(" : "[";
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) result += ", ";
    result += repr(list.items[i]);
  }
  if (tuple && list.items.size() == 1) result += ',';
  return result + (tuple ? ")" : "]");
}

template <class Entries, class Key>
std::string repr_entries(const Entries& entries, Key&& key) {
  std::string result = "{";
  for (const auto& entry : entries) {
    if (result.size() > 1) result += ", ";
    result += key(entry.first) + ": " + repr(entry.second);
  }
  return result + "}";
}

}  // namespace

std::string repr_double(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  // fmt writes the shortest text that reads back equal, and like Python turns to exponents below
  // 1e-4 and from 1e16; only the ".0" of whole numbers is missing.
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string repr(const Value& value) {
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "None";
  if (const auto* flag = std::get_if<bool>(&value.storage())) return *flag ? "True" : "False";
  if (const auto* number = std::get_if<double>(&value.storage())) return repr_double(*number);
  if (value.is<int64_t>()) return std::to_string(value.as_integer(""));
  if (const Text* text = value.as_text()) return repr_text(text->bytes());
  if (const List* list = value.as_list()) return repr_list(*list);
  if (const Dict* dict = value.as_dict()) return repr_entries(dict->entries, repr);
  if (const Namespace* names = value.as_namespace()) {
    const auto quoted = [](const std::string& name) { return repr_text(name); };
    return "<Namespace " + repr_entries(names->entries, quoted) + ">";
  }
  throw Fault("only data can be printed; found a {}", value.type_name());
}

Text to_text(const Value& value) {
  if (const Text* text = value.as_text()) return *text;
  if (value.is_undefined()) return {};
  const bool plain = value.is_number() || value.is_none();
  return Text(repr(value), plain ? Origin::source : Origin::input);
}

}  // namespace limbeck::jinja
