#include "limbeck/eval/method_entry.h"

#include "limbeck/base/error.h"
#include "limbeck/base/options.h"
#include "limbeck/io/checksum.h"

#include <bit>
#include <sstream>

namespace limbeck {
namespace {

/// "0.5+0.35" to {0.5, 0.35}.
std::vector<double> parse_ratios(const std::string& label, const std::string& text) {
  std::vector<double> out;
  std::stringstream parts(text);
  for (std::string part; std::getline(parts, part, '+');) {
    const double ratio = detail::parse_number("after", part);
    if (!(ratio > 0.0 && ratio <= 1.0) || (!out.empty() && ratio >= out.back()))
      throw InvalidArgument(
          "[eval] method {}: after takes falling ratios in (0, 1] joined by '+'; found {}", label,
          text);
    out.push_back(ratio);
  }
  return out;
}

/// "repeat", "excerpts", "repeat+excerpts=32", "repeat+selfstudy".
void set_sources(MethodEntry& m, const std::string& text) {
  QuerySources out{.repeat = false};
  std::stringstream parts(text);
  for (std::string part; std::getline(parts, part, '+');) {
    const size_t equals = part.find('=');
    const std::string name = part.substr(0, equals);
    if (part == "repeat")
      out.repeat = true;
    else if (part == "selfstudy")
      m.self_study = true;
    else if (name == "excerpts")
      out.excerpts = equals == std::string::npos
                         ? kExcerptTokens
                         : detail::parse_int("excerpts", part.substr(equals + 1));
    else
      throw InvalidArgument(
          "[eval] method {}: queries takes repeat, excerpts or excerpts=LENGTH, and selfstudy, "
          "joined "
          "by '+'; found \"{}\"",
          m.label, part);
  }
  if (out.excerpts < 0 || (out == QuerySources{.repeat = false} && !m.self_study))
    throw InvalidArgument("[eval] method {}: queries names no pass; found \"{}\"", m.label, text);
  m.options.sources = out;
}

void set_part(MethodEntry& m, const std::string& part) {
  const size_t equals = part.find('=');
  if (equals == std::string::npos || equals == 0)
    throw InvalidArgument("[eval] method {}: a part behind ':' must be key=value; found \"{}\"",
                          m.label, part);
  const std::string key = part.substr(0, equals), value = part.substr(equals + 1);
  CompactOptions& o = m.options;
  if (key.starts_with("scorer."))
    o.scorer_options[key.substr(7)] = value;
  else if (key.starts_with("allocator."))
    o.allocator_options[key.substr(10)] = value;
  else if (key.starts_with("builder."))
    o.builder_options[key.substr(8)] = value;
  else if (key == "scorer")
    o.scorer = value;
  else if (key == "allocator" || key == "alloc")
    o.allocator = value;
  else if (key == "builder")
    o.builder = value;
  else if (key == "normalize")
    o.normalize = value;
  else if (key == "queries")
    set_sources(m, value);
  else if (key == "first-share")
    o.first_share = detail::parse_number(key, value);
  else if (key == "on-policy")
    o.on_policy = detail::parse_bool(key, value);
  else if (key == "polish")
    o.polish = detail::parse_int(key, value);
  else if (key == "after")
    m.after = parse_ratios(m.label, value);
  else if (key == "head-weights")
    m.head_weights = value;
  else if (key == "head-shares")
    m.head_shares = value;
  else
    throw InvalidArgument(
        "[eval] method {}: unknown key \"{}\"; known: scorer.NAME, allocator.NAME, builder.NAME, "
        "scorer, allocator, builder, normalize, queries, first-share, on-policy, polish, after, "
        "head-weights, head-shares",
        m.label, key);
}

void add(Hasher128& hash, const std::string& text) {
  hash.update_u64(text.size());
  hash.update(text);
}

void add(Hasher128& hash, const OptionTexts& options) {
  hash.update_u64(options.size());
  for (const auto& [key, value] : options) {
    add(hash, key);
    add(hash, value);
  }
}

void add(Hasher128& hash, const HeadTable& table) {
  hash.update_u64(table.values.size());
  for (const double x : table.values) hash.update_u64(std::bit_cast<uint64_t>(x));
}

}  // namespace

MethodEntry parse_method_entry(const std::string& entry) {
  MethodEntry out;
  out.label = entry;
  std::stringstream parts(entry);
  std::getline(parts, out.options.method, ':');
  find_preset(out.options.method);
  for (std::string part; std::getline(parts, part, ':');) set_part(out, part);
  return out;
}

std::string method_fingerprint(const MethodEntry& method) {
  const CompactOptions& o = method.options;
  Hasher128 hash;
  for (const std::string& text : {o.method, o.scorer, o.allocator, o.builder, o.normalize})
    add(hash, text);
  hash.update_u64(static_cast<uint64_t>(o.polish));
  add(hash, o.first_share ? fmt::format("{}", *o.first_share) : "");
  add(hash, o.scorer_options);
  // Hashed when there are any, so that older records keep their fingerprints.
  if (!o.allocator_options.empty()) {
    add(hash, "allocator options");
    add(hash, o.allocator_options);
  }
  add(hash, o.builder_options);
  hash.update_u64(o.on_policy ? 1 : 0);
  add(hash, o.head_weights);
  add(hash, o.head_shares);
  const QuerySources from = o.sources.value_or(find_preset(o.method).queries);
  if (!(from == QuerySources{}))
    add(hash, fmt::format("queries {} {}", from.repeat, from.excerpts));
  if (method.self_study) add(hash, "self-study");
  for (const double ratio : method.after) hash.update_u64(std::bit_cast<uint64_t>(ratio));
  return hash_hex(hash.digest());
}

}  // namespace limbeck
