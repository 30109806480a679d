#include "limbeck/eval/metrics/tagged_text.h"

#include <string>

namespace limbeck {

std::optional<std::string_view> last_tagged(std::string_view text, std::string_view name) {
  std::string low(text);
  for (char& c : low)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  const std::string open = "<" + std::string(name) + ">", close = "</" + std::string(name) + ">";
  const size_t last_close = low.rfind(close);
  if (last_close == std::string::npos) return std::nullopt;
  const size_t begin = low.rfind(open, last_close);
  if (begin == std::string::npos) return std::nullopt;
  const size_t from = begin + open.size();
  return text.substr(from, low.find(close, from) - from);
}

}  // namespace limbeck
