#include "limbeck/eval/tasks/templates.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/published/wording.h"
#include "limbeck/io/checksum.h"
#include "limbeck/io/quote.h"
#include "limbeck/text/utf8.h"

#include <nlohmann/json.hpp>

#include <map>

namespace limbeck {
namespace {

/// Bytes of a loaded text: far above any wording, far below what could exhaust memory.
constexpr size_t kTextCap = 65536;

/// Length of the slot that begins at `at`, braces included; 0 when none does.
size_t slot_length(std::string_view form, size_t at) {
  if (form[at] != '{') return 0;
  size_t end = at + 1;
  while (end < form.size() && ((form[end] >= 'a' && form[end] <= 'z') || form[end] == '_')) ++end;
  return end > at + 1 && end < form.size() && form[end] == '}' ? end + 1 - at : 0;
}

/// Calls text(piece) and slot(name) in the order of the form.
template <class Text, class Slot>
void walk(std::string_view form, Text&& text, Slot&& slot) {
  size_t from = 0;
  for (size_t at = 0; at < form.size();) {
    const size_t length = slot_length(form, at);
    if (length == 0) {
      ++at;
      continue;
    }
    text(form.substr(from, at - from));
    slot(form.substr(at + 1, length - 2));
    from = at += length;
  }
  text(form.substr(from));
}

void check_text(const nlohmann::json& value, const std::string& name, const std::string& before,
                std::string_view what) {
  if (!value.is_string())
    throw FormatError("{}: {} must be a text; found {}", what, name, value.type_name());
  const std::string& text = value.get_ref<const std::string&>();
  if (text.size() > kTextCap || find_invalid_utf8(text))
    throw FormatError("{}: {} must be valid UTF-8 of at most {} bytes; found {} bytes", what, name,
                      kTextCap, text.size());
  const auto need = template_slots(before), found = template_slots(text);
  if (need != found)
    throw FormatError("{}: {} must have the slots [{}]; found {}", what, name,
                      fmt::join(need, ", "), quote(fmt::format("{}", fmt::join(found, ", "))));
}

}  // namespace

std::set<std::string> template_slots(std::string_view form) {
  std::set<std::string> out;
  walk(
      form, [](std::string_view) {}, [&](std::string_view name) { out.emplace(name); });
  return out;
}

std::string fill_slots(std::string_view form, std::initializer_list<SlotValue> values) {
  std::string out;
  const auto slot = [&](std::string_view name) {
    for (const auto& [known, value] : values)
      if (known == name) return out.append(value), void();
    LIMBECK_CHECK(false, "no value for the slot {}", name);
  };
  walk(
      form, [&](std::string_view piece) { out.append(piece); }, slot);
  return out;
}

std::string templates_hash(const TaskTemplates& templates) {
  TaskTemplates copy = templates;
  Hasher128 hasher;
  const auto add = [&](std::string_view name, std::string_view text) {
    for (const std::string_view part : {name, text}) {
      hasher.update_u64(part.size());
      hasher.update(part);
    }
  };
  copy.for_each_field(add);
  for (const auto& [name, text] : published_wording()) add(name, text);
  return hash_hex(hasher.digest());
}

TaskTemplates templates_from_json(const nlohmann::json& json, std::string_view what) {
  if (!json.is_object())
    throw FormatError("{}: must be an object of texts; found {}", what, json.type_name());
  TaskTemplates out;
  std::map<std::string, const nlohmann::json*> left;
  for (const auto& [name, value] : json.items()) left[name] = &value;
  out.for_each_field([&](std::string_view name, std::string& text) {
    const auto it = left.find(std::string(name));
    if (it == left.end()) return;
    check_text(*it->second, it->first, text, what);
    text = it->second->get<std::string>();
    left.erase(it);
  });
  if (!left.empty()) throw FormatError("{}: unknown template {}", what, quote(left.begin()->first));
  return out;
}

}  // namespace limbeck
