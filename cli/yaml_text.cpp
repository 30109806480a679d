#include "cli/yaml_text.h"

#include "limbeck/base/error.h"
#include "limbeck/io/quote.h"
#include "limbeck/text/utf8.h"

#include <yaml-cpp/yaml.h>
#include <nlohmann/json.hpp>

#include <vector>

namespace limbeck::cli {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;
constexpr size_t kMaxText = 1'000'000;
// Aliases are followed, so that a short text can stand for a long one.
constexpr int kMaxValues = 100'000;
constexpr size_t kMaxBytes = 4'000'000;

class Converter {
 public:
  explicit Converter(const std::string& what) : what_(what) {}

  json convert(const YAML::Node& node, int depth) {
    if (depth > kMaxDepth) fail(node, fmt::format("nesting exceeds {} levels", kMaxDepth));
    if (++values_ > kMaxValues) fail(node, fmt::format("more than {} values", kMaxValues));
    if (node.IsScalar()) return text_of(node);
    if (node.IsSequence()) {
      json out = json::array();
      for (const YAML::Node& item : node) out.push_back(convert(item, depth + 1));
      return out;
    }
    if (!node.IsMap()) return nullptr;
    json out = json::object();
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) fail(entry.first, "a key must be a text");
      const std::string& key = text_of(entry.first);
      if (out.contains(key)) fail(entry.first, fmt::format("key {} appears twice", quote(key)));
      out[key] = convert(entry.second, depth + 1);
    }
    return out;
  }

 private:
  const std::string& text_of(const YAML::Node& scalar) {
    bytes_ += scalar.Scalar().size();
    if (bytes_ > kMaxBytes) fail(scalar, fmt::format("values of more than {} bytes", kMaxBytes));
    return scalar.Scalar();
  }
  [[noreturn]] void fail(const YAML::Node& node, const std::string& rule) const {
    throw FormatError("{}: {}, line {}", what_, rule, node.Mark().line + 1);
  }

  const std::string& what_;
  int values_ = 0;
  size_t bytes_ = 0;
};

}  // namespace

json parse_yaml(const std::string& text, const std::string& what) {
  if (text.size() > kMaxText)
    throw FormatError("{}: text of {} bytes exceeds the cap of {}", what, text.size(), kMaxText);
  // The parser takes NUL bytes for a sign of UTF-16 and UTF-32.
  if (const size_t at = text.find('\0'); at != std::string::npos)
    throw FormatError("{}: no valid YAML; found a NUL byte at position {}", what, at);
  if (const auto at = find_invalid_utf8(text))
    throw FormatError("{}: no valid UTF-8 at byte {}", what, *at);
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() != 1)
      throw FormatError("{}: must be one YAML document; found {}", what, documents.size());
    return Converter(what).convert(documents.front(), 1);
  } catch (const YAML::Exception& e) {
    throw FormatError("{}: no valid YAML; line {}: {}", what, e.mark.line + 1, quote(e.msg));
  }
}

}  // namespace limbeck::cli
