#include "limbeck/cache/container_json.h"

#include "limbeck/base/error.h"
#include "limbeck/cache/block_hash.h"
#include "limbeck/cache/json_fields.h"
#include "limbeck/io/json.h"
#include "limbeck/io/quote.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>

namespace limbeck {
namespace {

using nlohmann::json;

// Positions are i32 in the file. The other bounds are far above any model and keep products in 64
// bits.
constexpr int64_t kMaxLength = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxExtent = 1 << 20;
constexpr int64_t kAny = std::numeric_limits<int64_t>::max();

// ---- writing
// --------------------------------------------------------------------------------------

json or_null(const std::string& text) { return text.empty() ? json() : json(text); }

json model_json(const ContainerDocument& d) {
  const ModelIdentity& m = d.header.model;
  return {{"family", m.family},
          {"fingerprint", m.fingerprint},
          {"head_dim", d.shape.head_dim},
          {"kv_heads", d.shape.kv_heads},
          {"layers", d.shape.layer_count()},
          {"query_heads", m.query_heads},
          {"rope", m.rope},
          {"scale", json_number(m.scale)}};
}

json layer_json(const LayerKind& kind) {
  json out = {{"kind", layer_type_name(kind.type)}};
  if (kind.type == LayerKind::Type::ring) out["window"] = kind.window;
  return out;
}

json segment_json(const SegmentRecord& record) {
  const SegmentInfo& info = record.info;
  json statistics = json::object();
  for (const auto& [name, value] : info.statistics) statistics[name] = json_number(value);
  return {{"achieved_ratio", json_number(info.achieved_ratio)},
          {"begin", info.begin},
          {"end", info.end},
          {"generation", info.generation},
          {"lengths", record.lengths},
          {"method", info.method},
          {"options", info.options},
          {"query_aware", info.query_aware},
          {"requested_ratio", json_number(info.requested_ratio)},
          {"state", span_state_name(info.state)},
          {"statistics", std::move(statistics)}};
}

json heads_json(const HeadPattern& p) {
  json rows = json::array();
  for (int64_t l = 0; l < p.layers; ++l) {
    json row = json::array();
    for (int64_t h = 0; h < p.kv_heads; ++h) row.push_back(p.at(l, h) ? 1 : 0);
    rows.push_back(std::move(row));
  }
  return {{"chunk_mask", chunk_mask_name(p.mask)},
          {"method", p.method},
          {"sinks", p.sinks},
          {"streaming", std::move(rows)},
          {"window", p.window}};
}

// ---- reading
// --------------------------------------------------------------------------------------

/// True when the file has streaming heads, the one feature that this build knows.
bool check_features(const JsonFields& fields) {
  const auto features = fields.text_list("features");
  for (const std::string& feature : features)
    if (feature != kStreamingFeature)
      throw FormatError("{}: needs feature {}", fields.what(), quote(feature));
  // Codecs change what a tensor's bytes mean; a file that has one must name a feature.
  if (const json& codecs = fields.need("codecs"); !codecs.is_object() || !codecs.empty())
    throw FormatError("{} must be an empty object in a file without features; found {} entries",
                      fields.name("codecs"), codecs.size());
  return !features.empty();
}

HeadPattern read_heads(const JsonFields& fields, const CacheShape& shape) {
  const JsonFields heads = fields.object("heads");
  HeadPattern out;
  out.layers = shape.layer_count();
  out.kv_heads = shape.kv_heads;
  out.sinks = heads.integer("sinks", 0, kMaxLength);
  out.window = heads.integer("window", 1, kMaxLength);
  out.method = heads.text("method");
  const std::string mask = heads.text("chunk_mask");
  if (mask != chunk_mask_name(ChunkMask::full) && mask != chunk_mask_name(ChunkMask::window))
    throw FormatError("{} must be full or window; found {}", heads.name("chunk_mask"), quote(mask));
  out.mask = chunk_mask_from_name(mask);
  const json& rows = heads.list("streaming");
  const auto wrong = [&](size_t row) {
    throw FormatError("{}[{}] must hold {} numbers, 1 for a head that streams and else 0",
                      heads.name("streaming"), row, out.kv_heads);
  };
  if (static_cast<int64_t>(rows.size()) != out.layers)
    throw FormatError("{} must have {} rows; found {}", heads.name("streaming"), out.layers,
                      rows.size());
  for (size_t l = 0; l < rows.size(); ++l) {
    if (!rows[l].is_array() || static_cast<int64_t>(rows[l].size()) != out.kv_heads) wrong(l);
    for (const json& flag : rows[l]) {
      if (!flag.is_number_integer() || (flag != 0 && flag != 1)) wrong(l);
      out.streaming.push_back(flag == 1 ? 1 : 0);
    }
  }
  return out;
}

void read_model(const JsonFields& fields, ContainerDocument& d) {
  const JsonFields model = fields.object("model");
  d.header.model.family = model.text("family");
  d.header.model.fingerprint = model.text("fingerprint");
  d.header.model.query_heads = model.integer("query_heads", 0, kMaxExtent);
  d.header.model.scale = model.number("scale");
  d.header.model.rope = model.text("rope");
  d.shape.kv_heads = model.integer("kv_heads", 1, kMaxExtent);
  d.shape.head_dim = model.integer("head_dim", 1, kMaxExtent);
  const std::string dtype = fields.text("dtype");
  const auto known = dtype_from_name(dtype);
  if (!known || (*known != DType::bf16 && *known != DType::f32))
    throw FormatError("{} must be BF16 or F32; found {}", fields.name("dtype"), quote(dtype));
  d.shape.dtype = *known;

  const json& layers = fields.list("layers");
  for (size_t i = 0; i < layers.size(); ++i) {
    const JsonFields layer(layers[i], fields.what(), fmt::format("layers[{}].", i));
    const std::string kind = layer.text("kind");
    if (kind == layer_type_name(LayerKind::Type::full))
      d.shape.layers.push_back({});
    else if (kind == layer_type_name(LayerKind::Type::ring))
      d.shape.layers.push_back({LayerKind::Type::ring, layer.integer("window", 1, kMaxLength)});
    else
      throw FormatError("{} must be full or ring; found {}", layer.name("kind"), quote(kind));
  }
  const auto count = static_cast<int64_t>(layers.size());
  if (count == 0 || model.integer("layers", 1, kAny) != count)
    throw FormatError("{} must equal the length of the list of layers; found {} and {}",
                      model.name("layers"), model.integer("layers", 1, kAny), count);
}

void read_tokens(const JsonFields& fields, ContainerDocument& d) {
  d.logical_length = fields.integer("logical_length", 1, kMaxLength);
  const JsonFields tokens = fields.object("tokens");
  tokens.integer("block", kTokenBlock, kTokenBlock);
  tokens.integer("count", d.logical_length, d.logical_length);
  if (!tokens.flag("stored"))
    throw FormatError("{} must be true: this build needs the token ids; found false",
                      tokens.name("stored"));
  d.blocks = tokens.text_list("blocks");
  if (const int64_t whole = d.logical_length / kTokenBlock;
      whole != static_cast<int64_t>(d.blocks.size()))
    throw FormatError("{} must hold one hash for each of {} whole blocks; found {}",
                      tokens.name("blocks"), whole, d.blocks.size());
}

PositionRange read_range(const json& value, const std::string& name, int64_t length) {
  if (!value.is_array() || value.size() != 2)
    throw FormatError("{} must be a list of begin and end; found {}", name, value.type_name());
  const int64_t begin = json_integer(value[0], name + "[0]", 0, length);
  return {begin, json_integer(value[1], name + "[1]", begin, length)};
}

std::vector<std::vector<int64_t>> read_lengths(const JsonFields& fields, const CacheShape& shape) {
  const json& layers = fields.list("lengths");
  const std::string name = fields.name("lengths");
  if (static_cast<int64_t>(layers.size()) != shape.layer_count())
    throw FormatError("{} must have one list for each of {} layers; found {}", name,
                      shape.layer_count(), layers.size());
  std::vector<std::vector<int64_t>> out(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    const bool full = shape.layers[i].type == LayerKind::Type::full;
    const int64_t heads = full ? shape.kv_heads : 0;
    if (!layers[i].is_array() || static_cast<int64_t>(layers[i].size()) != heads)
      throw FormatError("{}[{}] must be a list of {} numbers; found {} values", name, i, heads,
                        layers[i].size());
    for (const json& value : layers[i])
      out[i].push_back(json_integer(value, fmt::format("{}[{}]", name, i), 0, kMaxLength));
  }
  return out;
}

SegmentRecord read_segment(const JsonFields& fields, const ContainerDocument& d, int64_t begin) {
  SegmentRecord out;
  SegmentInfo& info = out.info;
  info.begin = fields.integer("begin", begin, begin);
  info.end = fields.integer("end", begin, d.logical_length);
  const std::string state = fields.text("state");
  try {
    info.state = span_state_from_name(state);
  } catch (const FormatError&) {
    throw FormatError("{} must be verbatim, compacted or dropped; found {}", fields.name("state"),
                      quote(state));
  }
  info.method = fields.text("method");
  info.options = fields.texts("options");
  info.query_aware = fields.flag("query_aware");
  info.requested_ratio = fields.number("requested_ratio");
  info.achieved_ratio = fields.number("achieved_ratio");
  info.statistics = fields.numbers("statistics");
  info.generation = fields.integer("generation", 0, kAny);
  out.lengths = read_lengths(fields, d.shape);
  return out;
}

void read_segments(const JsonFields& fields, ContainerDocument& d) {
  const json& segments = fields.list("segments");
  int64_t at = 0;
  for (size_t j = 0; j < segments.size(); ++j) {
    const JsonFields segment(segments[j], fields.what(), fmt::format("segments[{}].", j));
    d.segments.push_back(read_segment(segment, d, at));
    at = d.segments.back().info.end;
  }
  if (at != d.logical_length)
    throw FormatError("{} must cover [0, {}); found an end at {}", fields.name("segments"),
                      d.logical_length, at);
  d.tail = fields.flag("tail");
  if (!d.tail) return;
  SegmentInfo plain;
  plain.begin = d.segments.back().info.begin;
  plain.end = d.segments.back().info.end;
  if (!(d.segments.back().info == plain) || plain.begin == plain.end)
    throw FormatError("{} must be false: the last segment is not a plain verbatim one",
                      fields.name("tail"));
}

void read_checksums(const JsonFields& fields, ContainerDocument& d) {
  d.checksums = fields.texts("checksums");
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  for (const auto& [name, text] : d.checksums)
    if (text.size() != 16 || !std::ranges::all_of(text, is_hex))
      throw FormatError("{} of tensor {} must be 16 lower-case hex digits; found {}",
                        fields.name("checksums"), quote(name), quote(text));
}

}  // namespace

std::string document_to_json(const ContainerDocument& d) {
  json layers = json::array(), ranges = json::array(), segments = json::array();
  for (const LayerKind& kind : d.shape.layers) layers.push_back(layer_json(kind));
  for (const PositionRange& r : d.protected_ranges) ranges.push_back({r.begin, r.end});
  for (const SegmentRecord& record : d.segments) segments.push_back(segment_json(record));
  json document = {
      {"checksums", d.checksums},
      {"codecs", json::object()},
      {"dtype", dtype_name(d.shape.dtype)},
      {"features", json::array()},
      {"layers", std::move(layers)},
      {"logical_length", d.logical_length},
      {"model", model_json(d)},
      {"notes", d.header.notes},
      {"producer", d.header.producer},
      {"protected", std::move(ranges)},
      {"segments", std::move(segments)},
      {"tail", d.tail},
      {"template", or_null(d.header.template_fingerprint)},
      {"tokenizer", or_null(d.header.tokenizer_fingerprint)},
      {"tokens",
       {{"block", kTokenBlock},
        {"blocks", d.blocks},
        {"count", d.logical_length},
        {"stored", true}}},
  };
  if (d.heads) {
    document["features"].push_back(kStreamingFeature);
    document["heads"] = heads_json(*d.heads);
  }
  try {
    return document.dump();
  } catch (const json::type_error&) {
    throw InvalidArgument("[kvc.save] names, options and notes must be UTF-8; found other bytes");
  }
}

ContainerDocument document_from_json(std::string_view text, std::string_view file) {
  const std::string what = fmt::format("[kvc.load] {}", file);
  const json document = parse_json(text, what);
  const JsonFields fields(document, what, "");
  const bool streams = check_features(fields);
  ContainerDocument d;
  read_model(fields, d);
  if (streams) d.heads = read_heads(fields, d.shape);
  d.header.tokenizer_fingerprint = fields.text_or_null("tokenizer");
  d.header.template_fingerprint = fields.text_or_null("template");
  d.header.producer = fields.text("producer");
  d.header.notes = fields.texts("notes");
  read_tokens(fields, d);
  const json& ranges = fields.list("protected");
  for (size_t i = 0; i < ranges.size(); ++i)
    d.protected_ranges.push_back(read_range(
        ranges[i], fmt::format("{}[{}]", fields.name("protected"), i), d.logical_length));
  read_segments(fields, d);
  read_checksums(fields, d);
  return d;
}

std::string segment_tensor_name(int64_t segment, int64_t layer, std::string_view field) {
  return fmt::format("seg.{}.{}.{}", segment, layer, field);
}

std::string ring_tensor_name(int64_t layer, std::string_view field) {
  return fmt::format("ring.{}.{}", layer, field);
}

std::string stream_tensor_name(int64_t layer, std::string_view field) {
  return fmt::format("stream.{}.{}", layer, field);
}

}  // namespace limbeck
