#include "limbeck/eval/tasks/task_request.h"

#include "limbeck/base/error.h"
#include "limbeck/io/quote.h"

namespace limbeck {
namespace {

constexpr char kEscape = '\\';
constexpr std::string_view kSpecial = "\\,:";

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/// Pieces between separators that no backslash stands before.
template <class IsBorder>
std::vector<std::string> split(std::string_view text, IsBorder is_border) {
  std::vector<std::string> out(1);
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == kEscape && at + 1 < text.size()) {
      out.back() += text[at++];
      out.back() += text[at];
    } else if (is_border(at)) {
      out.emplace_back();
    } else {
      out.back() += text[at];
    }
  }
  return out;
}

/// Only backslashes before special characters go: others are of the text, as in a pattern.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == kEscape && at + 1 < text.size() &&
        kSpecial.find(text[at + 1]) != std::string_view::npos)
      ++at;
    out += text[at];
  }
  return out;
}

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (kSpecial.find(c) != std::string_view::npos) out += kEscape;
    out += c;
  }
  return out;
}

/// True when `name=` stands at the beginning.
bool begins_option(std::string_view text) {
  size_t end = 0;
  while (end < text.size() && is_name_character(text[end])) ++end;
  return end > 0 && end < text.size() && text[end] == '=';
}

}  // namespace

std::vector<std::string> split_task_list(std::string_view text) {
  return split(text, [&](size_t at) { return text[at] == ','; });
}

TaskRequest parse_task_request(std::string_view text) {
  const std::vector<std::string> parts =
      split(text, [&](size_t at) { return text[at] == ':' && begins_option(text.substr(at + 1)); });
  TaskRequest out;
  const size_t equals = parts[0].find('=');
  out.name = parts[0].substr(0, equals);
  if (out.name.empty())
    throw InvalidArgument("[tasks] a task must be NAME, or NAME=FILE; found {}", quote(text));
  if (equals != std::string::npos) {
    out.file = unescape(parts[0].substr(equals + 1));
    if (out.file.empty())
      throw InvalidArgument("[tasks] {} must have a file behind its =; found {}", quote(out.name),
                            quote(text));
  }
  for (size_t i = 1; i < parts.size(); ++i) {
    const size_t border = parts[i].find('=');
    const std::string key = parts[i].substr(0, border);
    std::string value = unescape(parts[i].substr(border + 1));
    if (key == "as" && out.as.empty())
      out.as = std::move(value);
    else if (key == "as" || !out.options.emplace(key, std::move(value)).second)
      throw InvalidArgument("[tasks] {} must have option {} once; found {}", out.name, key,
                            quote(text));
  }
  return out;
}

std::string task_request_text(const TaskRequest& request) {
  std::string out = request.name;
  if (!request.file.empty()) out += "=" + escape(request.file);
  for (const auto& [key, value] : request.options) out += ":" + key + "=" + escape(value);
  if (!request.as.empty()) out += ":as=" + escape(request.as);
  return out;
}

}  // namespace limbeck
