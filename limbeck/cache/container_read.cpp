#include "limbeck/cache/container_read.h"

#include "limbeck/base/error.h"
#include "limbeck/cache/block_hash.h"
#include "limbeck/cache/container_checks.h"
#include "limbeck/cache/container_file.h"
#include "limbeck/cache/container_json.h"
#include "limbeck/io/checksum.h"
#include "limbeck/io/mapped_file.h"
#include "limbeck/io/quote.h"

#include <cstring>
#include <set>
#include <utility>

namespace limbeck {
namespace {

constexpr int64_t kAnyExtent = -1;

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out;
  for (const int64_t extent : shape) {
    if (!out.empty()) out += ',';
    out += extent == kAnyExtent ? "any" : fmt::format("{}", extent);
  }
  return out;
}

/// Copies tensors out of the file and remembers the copies, so that what is checked is what is
/// used.
class Reader {
 public:
  Reader(const SafetensorsFile& file, const ContainerDocument& document)
      : file_(file), document_(document) {}

  /// `shape` may hold kAnyExtent. The size of the data has been checked against the shape and the
  /// file.
  at::Tensor copy(const std::string& name, DType dtype, std::vector<int64_t> shape) {
    const StoredTensor* stored = file_.find(name);
    if (!stored)
      throw FormatError("[kvc.load] {}: tensor {} is missing", file_.name(), quote(name));
    bool fits = stored->dtype == dtype && stored->shape.size() == shape.size();
    for (size_t i = 0; fits && i < shape.size(); ++i)
      fits = shape[i] == kAnyExtent || shape[i] == stored->shape[i];
    if (!fits)
      throw FormatError("[kvc.load] {}: {} must be {} [{}]; found {} [{}]", file_.name(), name,
                        dtype_name(dtype), shape_text(shape), dtype_name(stored->dtype),
                        shape_text(stored->shape));
    at::Tensor out = at::empty(stored->shape, at::TensorOptions().dtype(to_scalar_type(dtype)));
    if (!stored->data.empty())
      std::memcpy(out.data_ptr(), stored->data.data(), stored->data.size());
    copies_.emplace(name, out);
    return out;
  }

  bool has(const std::string& name) const { return file_.find(name) != nullptr; }

  /// Names of tensors that start with `prefix`, without it.
  std::vector<std::string> suffixes(const std::string& prefix) const {
    std::vector<std::string> out;
    const auto& names = document_.checksums;
    for (auto it = names.lower_bound(prefix); it != names.end() && it->first.starts_with(prefix);
         ++it)
      out.push_back(it->first.substr(prefix.size()));
    return out;
  }

  /// Every tensor has a checksum, every checksum a tensor, and version 1.0 knows them all.
  void check_names(bool refuse_unknown) const {
    for (const StoredTensor& tensor : file_.tensors()) {
      if (!document_.checksums.contains(tensor.name))
        throw FormatError("[kvc.load] {}: tensor {} has no checksum in the header", file_.name(),
                          quote(tensor.name));
      if (refuse_unknown && !copies_.contains(tensor.name))
        throw FormatError("[kvc.load] {}: tensor {} belongs to no segment or ring", file_.name(),
                          quote(tensor.name));
    }
    for (const auto& [name, unused] : document_.checksums)
      if (!file_.find(name))
        throw FormatError("[kvc.load] {}: tensor {} is missing", file_.name(), quote(name));
  }

  /// Compares what was copied; tensors that nobody read are judged where they lie.
  void check_checksums() const {
    for (const auto& [name, expected] : document_.checksums) {
      const auto copied = copies_.find(name);
      const std::span<const std::byte> bytes =
          copied == copies_.end()
              ? file_.at(name).data
              : std::as_bytes(std::span(static_cast<const char*>(copied->second.const_data_ptr()),
                                        copied->second.nbytes()));
      if (const std::string found = hash_hex(xxh3_64(bytes)); found != expected)
        throw FormatError("[kvc.load] {}: checksum of {} is {}, header says {}", file_.name(), name,
                          short_hash(found), short_hash(expected));
    }
  }

  const std::string& file_name() const { return file_.name(); }
  const ContainerDocument& document() const { return document_; }

 private:
  const SafetensorsFile& file_;
  const ContainerDocument& document_;
  std::map<std::string, at::Tensor> copies_;
};

std::vector<int64_t> read_offsets(Reader& reader, const std::string& name,
                                  const std::vector<int64_t>& lengths) {
  const auto count = static_cast<int64_t>(lengths.size()) + 1;
  const at::Tensor tensor = reader.copy(name, DType::i64, {count});
  const auto* data = tensor.const_data_ptr<int64_t>();
  std::vector<int64_t> out(data, data + count);
  if (out[0] != 0)
    throw FormatError("[kvc.load] {}: {} must start at 0; found {}", reader.file_name(), name,
                      out[0]);
  for (size_t h = 0; h < lengths.size(); ++h) {
    if (out[h + 1] < out[h])
      throw FormatError("[kvc.load] {}: {} must not fall; found {} after {}", reader.file_name(),
                        name, out[h + 1], out[h]);
    if (out[h + 1] - out[h] != lengths[h])
      throw FormatError("[kvc.load] {}: {} must give head {} the {} slots of the header; found {}",
                        reader.file_name(), name, h, lengths[h], out[h + 1] - out[h]);
  }
  return out;
}

LayerSegmentPtr read_layer(Reader& reader, int64_t segment, int64_t layer) {
  const ContainerDocument& document = reader.document();
  const auto name = [&](std::string_view field) {
    return segment_tensor_name(segment, layer, field);
  };
  auto out = std::make_shared<LayerSegment>();
  out->offsets = read_offsets(reader, name("offsets"), document.segments[segment].lengths[layer]);
  const int64_t slots = out->offsets.back();
  out->keys = reader.copy(name("k"), document.shape.dtype, {slots, document.shape.head_dim});
  out->values = reader.copy(name("v"), document.shape.dtype, {slots, document.shape.head_dim});
  out->positions = reader.copy(name("pos"), DType::i32, {slots});
  // The table of checksums tells an absent bias from a lost one.
  if (reader.has(name("beta")) || document.checksums.contains(name("beta")))
    out->bias = reader.copy(name("beta"), DType::f32, {slots});
  for (const std::string& extra : reader.suffixes(name("x.")))
    out->extras[extra] = reader.copy(name("x." + extra), DType::f32, {slots});
  return out;
}

/// Streaming heads of a layer; ring layers have none.
std::vector<int64_t> streaming_heads(const ContainerDocument& document, int64_t layer) {
  std::vector<int64_t> out;
  if (!document.heads || document.shape.layers[layer].type != LayerKind::Type::full) return out;
  for (int64_t h = 0; h < document.shape.kv_heads; ++h)
    if (document.heads->at(layer, h)) out.push_back(h);
  return out;
}

/// Refuses allocations of streaming heads that nothing vouches for.
void check_stream_bytes(const ContainerDocument& document, const std::string& file,
                        int64_t max_bytes) {
  if (!document.heads) return;
  unsigned __int128 heads = 0;
  for (int64_t i = 0; i < document.shape.layer_count(); ++i)
    heads += streaming_heads(document, i).size();
  const unsigned __int128 bytes =
      heads * static_cast<unsigned __int128>(document.heads->sinks + document.heads->window) *
      document.shape.slot_bytes();
  if (bytes > static_cast<unsigned __int128>(max_bytes))
    throw FormatError("[kvc.load] {}: its streaming heads need more than {} bytes", file,
                      max_bytes);
}

/// Positions of what is held: the first ones in order, then a ring that may begin anywhere. Returns
/// the ring row of the oldest.
int64_t check_stream_positions(Reader& reader, const at::Tensor& positions, const std::string& name,
                               int64_t sinks) {
  const auto* data = positions.const_data_ptr<int32_t>();
  const int64_t held = positions.size(0), ring = held - sinks,
                first = reader.document().logical_length - ring;
  const auto expect = [&](int64_t row, int64_t position) {
    if (data[row] != position)
      throw FormatError("[kvc.load] {}: {} must be {} in row {}; found {}", reader.file_name(),
                        name, position, row, data[row]);
  };
  for (int64_t i = 0; i < sinks; ++i) expect(i, i);
  if (ring == 0) return 0;
  const int64_t begin = (first - static_cast<int64_t>(data[sinks])) % ring,
                oldest = begin < 0 ? begin + ring : begin;
  for (int64_t i = 0; i < ring; ++i) expect(sinks + (oldest + i) % ring, first + i);
  return oldest;
}

LayerStream read_stream(Reader& reader, int64_t layer, const LayerStream& empty) {
  const ContainerDocument& document = reader.document();
  const auto name = [&](std::string_view field) { return stream_tensor_name(layer, field); };
  const int64_t capacity = empty.sinks + empty.window,
                held = std::min(capacity, document.logical_length),
                sinks = std::min(empty.sinks, held),
                heads = static_cast<int64_t>(empty.heads.size());
  const std::vector<int64_t> shape = {heads, held, document.shape.head_dim};
  const at::Tensor positions = reader.copy(name("pos"), DType::i32, {held}),
                   keys = reader.copy(name("k"), document.shape.dtype, shape),
                   values = reader.copy(name("v"), document.shape.dtype, shape);
  const int64_t oldest = check_stream_positions(reader, positions, name("pos"), sinks);
  const int64_t ring = held - sinks;
  if (ring < empty.window && oldest != 0)
    throw FormatError("[kvc.load] {}: {} must rise while the window of {} is not full",
                      reader.file_name(), name("pos"), empty.window);
  LayerStream out = empty;
  out.keys = at::empty({heads, capacity, document.shape.head_dim}, keys.options());
  out.values = at::empty({heads, capacity, document.shape.head_dim}, keys.options());
  out.keys.narrow(1, 0, held).copy_(keys);
  out.values.narrow(1, 0, held).copy_(values);
  out.length = held;
  out.next = ring < empty.window ? ring : oldest;
  return out;
}

/// Refuses rings that cannot be part of this cache, and windows that nothing vouches for.
void check_ring_bytes(const ContainerDocument& document, const std::string& file,
                      int64_t max_bytes) {
  // Each factor is at most 2^31, so the products need more than 64 bits.
  unsigned __int128 bytes = 0;
  for (const LayerKind& kind : document.shape.layers)
    if (kind.type == LayerKind::Type::ring)
      bytes += static_cast<unsigned __int128>(kind.window - 1) * document.shape.kv_heads *
               document.shape.slot_bytes();
  if (bytes > static_cast<unsigned __int128>(max_bytes))
    throw FormatError(
        "[kvc.load] {}: the windows of its rings need more than {} bytes; load it with its model",
        file, max_bytes);
}

LayerTail read_ring(Reader& reader, int64_t layer) {
  const ContainerDocument& document = reader.document();
  const CacheShape& shape = document.shape;
  const auto name = [&](std::string_view field) { return ring_tensor_name(layer, field); };
  const at::Tensor positions = reader.copy(name("pos"), DType::i32, {kAnyExtent});
  const int64_t length = positions.size(0), capacity = shape.layers[layer].window - 1;
  const int64_t most = std::min(capacity, document.logical_length);
  if (length > most)
    throw FormatError("[kvc.load] {}: {} must hold at most {} rows; found {}", reader.file_name(),
                      name("pos"), most, length);
  const at::Tensor keys =
      reader.copy(name("k"), shape.dtype, {shape.kv_heads, length, shape.head_dim});
  const at::Tensor values =
      reader.copy(name("v"), shape.dtype, {shape.kv_heads, length, shape.head_dim});
  LayerTail out;
  if (length == 0) return out;
  out.length = length;
  out.first_position = document.logical_length - length;
  const auto* data = positions.const_data_ptr<int32_t>();
  for (int64_t i = 0; i < length; ++i)
    if (data[i] != out.first_position + i)
      throw FormatError("[kvc.load] {}: {} must count up from {}; found {} in row {}",
                        reader.file_name(), name("pos"), out.first_position, data[i], i);
  out.keys = at::empty({shape.kv_heads, capacity, shape.head_dim}, keys.options());
  out.values = at::empty({shape.kv_heads, capacity, shape.head_dim}, keys.options());
  const int64_t start = out.first_position % capacity, head = std::min(length, capacity - start);
  for (const auto& [from, to] : {std::pair{&keys, &out.keys}, std::pair{&values, &out.values}}) {
    to->narrow(1, start, head).copy_(from->narrow(1, 0, head));
    to->narrow(1, 0, length - head).copy_(from->narrow(1, head, length - head));
  }
  return out;
}

void check_contents(const Reader& reader,
                    const std::vector<std::vector<LayerSegmentPtr>>& segments) {
  const ContainerDocument& document = reader.document();
  for (size_t j = 0; j < segments.size(); ++j) {
    const SegmentInfo& info = document.segments[j].info;
    const bool tail = document.tail && j + 1 == segments.size();
    for (size_t i = 0; i < segments[j].size(); ++i) {
      if (!segments[j][i]) continue;
      const auto segment = static_cast<int64_t>(j), layer = static_cast<int64_t>(i);
      if (const auto problem = contents_problem(*segments[j][i], {info.begin, info.end}))
        throw FormatError("[kvc.load] {}: {}{}", reader.file_name(),
                          segment_tensor_name(segment, layer, ""), *problem);
      const std::vector<int64_t> streaming = streaming_heads(document, layer);
      for (const int64_t h : streaming)
        if (segments[j][i]->slots(h) > 0)
          throw FormatError(
              "[kvc.load] {}: head {} of {}* streams and must have no slots; found {}",
              reader.file_name(), h, segment_tensor_name(segment, layer, ""),
              segments[j][i]->slots(h));
      if (tail && !segment_is_plain(*segments[j][i], {info.begin, info.end}, streaming))
        throw FormatError(
            "[kvc.load] {}: {}* must hold positions [{}, {}) in order in every head, without beta: "
            "it is "
            "the tail",
            reader.file_name(), segment_tensor_name(segment, layer, ""), info.begin, info.end);
    }
  }
}

void check_blocks(const ContainerDocument& document, std::span<const int32_t> tokens,
                  const std::string& file) {
  const auto hashes = block_hashes(tokens, document.header.model.fingerprint);
  for (size_t i = 0; i < hashes.size(); ++i)
    if (const std::string found = hash_hex(hashes[i]); found != document.blocks[i])
      throw FormatError("[kvc.load] {}: hash of token block {} is {}, header says {}", file, i,
                        short_hash(found), short_hash(document.blocks[i]));
}

KvCache build_cache(const ContainerDocument& document, std::span<const int32_t> tokens,
                    std::vector<std::vector<LayerSegmentPtr>> segments,
                    std::vector<LayerTail> rings, const std::vector<LayerStream>& streams) {
  KvCache cache(document.shape);
  if (document.heads) cache.set_head_pattern(*document.heads);
  for (size_t l = 0; l < streams.size(); ++l)
    if (streams[l].active()) cache.adopt_stream(static_cast<int64_t>(l), streams[l]);
  for (size_t j = 0; j < segments.size(); ++j) {
    const SegmentInfo& info = document.segments[j].info;
    const bool last = j + 1 == segments.size();
    cache.append_segment(info, std::move(segments[j]),
                         tokens.subspan(info.begin, info.end - info.begin),
                         last ? std::move(rings) : std::vector<LayerTail>{});
  }
  if (document.tail) cache.unseal();
  cache.set_protected_ranges(document.protected_ranges);
  return cache;
}

}  // namespace

LoadedCache container_read(std::span<const std::byte> bytes, const std::string& name,
                           const ModelIdentity* expected, const CacheShape* expected_shape,
                           const ContainerReadOptions& options) {
  const ContainerFile container = container_open(bytes, name, options.verify_hashes);
  const ContainerDocument document = document_from_json(container.document, name);
  const CacheShape& shape = document.shape;
  check_model(name, document.header.model, shape, expected, expected_shape);
  if (!expected_shape) check_ring_bytes(document, name, options.max_ring_bytes);

  Reader reader(container.file, document);
  const at::Tensor ids = reader.copy("tokens", DType::i32, {document.logical_length});
  const std::span<const int32_t> tokens(ids.const_data_ptr<int32_t>(), document.logical_length);
  std::vector<std::vector<LayerSegmentPtr>> segments(document.segments.size());
  for (size_t j = 0; j < segments.size(); ++j)
    for (int64_t i = 0; i < shape.layer_count(); ++i)
      segments[j].push_back(shape.layers[i].type == LayerKind::Type::full
                                ? read_layer(reader, static_cast<int64_t>(j), i)
                                : nullptr);
  std::vector<LayerTail> rings(shape.layer_count());
  for (int64_t i = 0; i < shape.layer_count(); ++i)
    if (shape.layers[i].type == LayerKind::Type::ring) rings[i] = read_ring(reader, i);
  std::vector<LayerStream> streams(shape.layer_count());
  if (document.heads) {
    check_stream_bytes(document, name, options.max_ring_bytes);
    KvCache empty(shape);
    empty.set_head_pattern(*document.heads);
    for (int64_t i = 0; i < shape.layer_count(); ++i)
      if (empty.layer(i).stream.active())
        streams[i] = read_stream(reader, i, empty.layer(i).stream);
  }
  reader.check_names(container.minor <= kContainerMinor);
  check_contents(reader, segments);
  if (options.verify_hashes) {
    reader.check_checksums();
    check_blocks(document, tokens, name);
  }
  return {build_cache(document, tokens, std::move(segments), std::move(rings), streams),
          document.header};
}

LoadedCache cache_load(const std::filesystem::path& path, const ModelIdentity* expected,
                       const CacheShape* expected_shape) {
  const auto mapping = MappedFile::open(path);
  return container_read(mapping->bytes(), path.filename().string(), expected, expected_shape);
}

}  // namespace limbeck
