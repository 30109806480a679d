#include "limbeck/cache/container_checks.h"

#include "limbeck/base/error.h"
#include "limbeck/io/quote.h"

#include <cmath>

namespace limbeck {
namespace {

/// A text out of a file, without the quotes.
std::string plain(std::string_view text) {
  const std::string quoted = quote(text);
  const size_t last = quoted.rfind('"');
  return quoted.substr(1, last - 1);
}

/// "qwen3 28L/8KV/128D fingerprint 3f2a..", as far as it is known.
std::string describe(const ModelIdentity* model, const CacheShape* shape) {
  std::string out = model && !model->family.empty() ? plain(model->family) : "a model";
  if (shape)
    out += fmt::format(" {}L/{}KV/{}D", shape->layer_count(), shape->kv_heads, shape->head_dim);
  if (model && !model->fingerprint.empty()) out += " fingerprint " + short_hash(model->fingerprint);
  return out;
}

bool differ(const std::string& a, const std::string& b) {
  return !a.empty() && !b.empty() && a != b;
}

/// Facts that the usual text does not show.
void check_details(std::string_view file, const ModelIdentity& found,
                   const ModelIdentity& expected) {
  if (found.query_heads != 0 && expected.query_heads != 0 &&
      found.query_heads != expected.query_heads)
    throw Mismatch(
        "[kvc.load] {}: made for {} query heads, this model has {}; compact the source again", file,
        found.query_heads, expected.query_heads);
  if (found.scale != 0 && expected.scale != 0 && found.scale != expected.scale)
    throw Mismatch(
        "[kvc.load] {}: made for softmax scale {}, this model has {}; compact the source again",
        file, found.scale, expected.scale);
  if (differ(found.rope, expected.rope))
    throw Mismatch(
        "[kvc.load] {}: made for rotary embedding {}, this model has {}; compact the source again",
        file, plain(found.rope), plain(expected.rope));
}

void check_layers(std::string_view file, const CacheShape& found, const CacheShape& expected) {
  const auto text = [](const LayerKind& kind) {
    return kind.type == LayerKind::Type::full ? std::string("full")
                                              : fmt::format("ring of window {}", kind.window);
  };
  for (size_t i = 0; i < found.layers.size(); ++i)
    if (!(found.layers[i] == expected.layers[i]))
      throw Mismatch("[kvc.load] {}: layer {} is {}, in this model {}; compact the source again",
                     file, i, text(found.layers[i]), text(expected.layers[i]));
  if (found.dtype != expected.dtype)
    throw Mismatch(
        "[kvc.load] {}: holds {} keys and values, this model's cache is {}; load the model in that "
        "type "
        "or compact the source again",
        file, dtype_name(found.dtype), dtype_name(expected.dtype));
}

}  // namespace

std::string short_hash(std::string_view hex) { return plain(hex.substr(0, 4)) + ".."; }

std::optional<std::string> contents_problem(const LayerSegment& segment, PositionRange span) {
  const auto* positions = segment.positions.const_data_ptr<int32_t>();
  for (int64_t i = 0; i < segment.slots(); ++i)
    if (!span.contains(positions[i]))
      return fmt::format("pos must lie in [{}, {}); found {} in row {}", span.begin, span.end,
                         positions[i], i);
  if (!segment.bias.defined()) return std::nullopt;
  const auto* bias = segment.bias.const_data_ptr<float>();
  for (int64_t i = 0; i < segment.slots(); ++i)
    if (!std::isfinite(bias[i]))
      return fmt::format("beta must be finite; found {} in row {}", bias[i], i);
  return std::nullopt;
}

void check_model(std::string_view file, const ModelIdentity& found, const CacheShape& found_shape,
                 const ModelIdentity* expected, const CacheShape* expected_shape) {
  const bool other_model = expected && (differ(found.family, expected->family) ||
                                        differ(found.fingerprint, expected->fingerprint));
  const bool other_shape =
      expected_shape && (found_shape.layer_count() != expected_shape->layer_count() ||
                         found_shape.kv_heads != expected_shape->kv_heads ||
                         found_shape.head_dim != expected_shape->head_dim);
  if (other_model || other_shape)
    throw Mismatch("[kvc.load] {}: made for {}, this model is {}; compact the source again", file,
                   describe(&found, &found_shape), describe(expected, expected_shape));
  if (expected) check_details(file, found, *expected);
  if (expected_shape) check_layers(file, found_shape, *expected_shape);
}

}  // namespace limbeck
