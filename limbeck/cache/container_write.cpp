#include "limbeck/base/error.h"
#include "limbeck/cache/block_hash.h"
#include "limbeck/cache/container.h"
#include "limbeck/cache/container_checks.h"
#include "limbeck/cache/container_json.h"
#include "limbeck/io/checksum.h"
#include "limbeck/io/safetensors.h"

#include <utility>

namespace limbeck {
namespace {

/// Tensors for the file, with what keeps their bytes alive and their checksums.
class Collector {
 public:
  void add(std::string name, const at::Tensor& tensor) {
    owners_.push_back(tensor.cpu().contiguous());
    const at::Tensor& host = owners_.back();
    add_bytes(
        std::move(name), to_dtype(host.scalar_type()), host.sizes().vec(),
        std::as_bytes(std::span(static_cast<const char*>(host.const_data_ptr()), host.nbytes())));
  }

  /// The caller keeps the values alive.
  template <class T>
  void add(std::string name, DType dtype, const std::vector<T>& values) {
    add_bytes(std::move(name), dtype, {static_cast<int64_t>(values.size())},
              std::as_bytes(std::span(values)));
  }

  std::vector<TensorToWrite> take() { return std::move(tensors_); }
  std::map<std::string, std::string> take_checksums() { return std::move(checksums_); }

 private:
  void add_bytes(std::string name, DType dtype, std::vector<int64_t> shape,
                 std::span<const std::byte> bytes) {
    checksums_[name] = hash_hex(xxh3_64(bytes));
    tensors_.push_back({std::move(name), dtype, std::move(shape), bytes});
  }

  std::vector<at::Tensor> owners_;
  std::vector<TensorToWrite> tensors_;
  std::map<std::string, std::string> checksums_;
};

/// A segment of the file: one of the cache's, or its tail. Owns what the collector's spans point
/// to.
struct SegmentSource {
  SegmentInfo info;
  std::vector<LayerSegmentPtr> layers;  ///< null for rings
};

std::vector<SegmentSource> collect_segments(const KvCache& cache) {
  const CacheShape& shape = cache.shape();
  std::vector<SegmentSource> out;
  for (const SegmentInfo& info : cache.segments()) out.push_back({info, {}});
  const PositionRange tail{cache.tail_begin(), cache.logical_length()};
  if (tail.size() > 0) {
    out.emplace_back();
    out.back().info.begin = tail.begin;
    out.back().info.end = tail.end;
  }
  for (size_t j = 0; j < out.size(); ++j)
    for (int64_t i = 0; i < shape.layer_count(); ++i) {
      const LayerCache& layer = cache.layer(i);
      if (layer.kind.type == LayerKind::Type::ring)
        out[j].layers.push_back(nullptr);
      else if (j < cache.segments().size())
        out[j].layers.push_back(layer.segments[j]);
      else
        out[j].layers.push_back(std::make_shared<LayerSegment>(cache_gather(cache, i, tail)));
    }
  return out;
}

/// Refuses what a reader would refuse, before anything is written.
void check_segment(const LayerSegment& s, const SegmentInfo& info, int64_t segment, int64_t layer) {
  if (const auto problem = contents_problem(s, {info.begin, info.end}))
    throw InvalidArgument("[kvc.save] {}{}", segment_tensor_name(segment, layer, ""), *problem);
}

void add_segment(const SegmentSource& source, int64_t segment, Collector& collector,
                 ContainerDocument& document) {
  SegmentRecord record{source.info, {}};
  for (size_t l = 0; l < source.layers.size(); ++l) {
    record.lengths.emplace_back();
    if (!source.layers[l]) continue;
    const LayerSegment& s = *source.layers[l];
    const auto layer = static_cast<int64_t>(l);
    check_segment(s, source.info, segment, layer);
    const auto name = [&](std::string_view field) {
      return segment_tensor_name(segment, layer, field);
    };
    collector.add(name("offsets"), DType::i64, s.offsets);
    collector.add(name("k"), s.keys);
    collector.add(name("v"), s.values);
    collector.add(name("pos"), s.positions);
    if (s.bias.defined()) collector.add(name("beta"), s.bias);
    for (const auto& [extra, values] : s.extras) collector.add(name("x." + extra), values);
    for (int64_t h = 0; h < s.kv_heads(); ++h) record.lengths.back().push_back(s.slots(h));
  }
  document.segments.push_back(std::move(record));
}

void add_ring(const LayerTail& ring, int64_t layer, const CacheShape& shape, Collector& collector) {
  at::Tensor keys, values;
  if (ring.length > 0)
    std::tie(keys, values) = ring_linear(ring);
  else
    keys = values = at::empty({shape.kv_heads, 0, shape.head_dim},
                              at::TensorOptions().dtype(to_scalar_type(shape.dtype)));
  collector.add(ring_tensor_name(layer, "k"), keys);
  collector.add(ring_tensor_name(layer, "v"), values);
  collector.add(ring_tensor_name(layer, "pos"),
                at::arange(ring.first_position, ring.first_position + ring.length,
                           at::TensorOptions().dtype(at::kInt)));
}

/// Rows in the order of storage, so that a restored ring goes on at the same place.
void add_stream(const LayerStream& stream, int64_t layer, int64_t length, Collector& collector) {
  collector.add(stream_tensor_name(layer, "k"), stream.keys.narrow(1, 0, stream.length));
  collector.add(stream_tensor_name(layer, "v"), stream.values.narrow(1, 0, stream.length));
  collector.add(stream_tensor_name(layer, "pos"),
                at::tensor(stream_positions(stream, length), at::kInt));
}

}  // namespace

void cache_save(const KvCache& cache, const ContainerHeader& header,
                const std::filesystem::path& path) {
  if (cache.logical_length() == 0)
    throw InvalidArgument("[kvc.save] a cache must hold at least one token; found none");
  const CacheShape& shape = cache.shape();
  const std::vector<SegmentSource> segments = collect_segments(cache);

  ContainerDocument document;
  document.header = header;
  document.shape = shape;
  document.logical_length = cache.logical_length();
  document.tail = cache.tail_begin() < cache.logical_length();
  document.protected_ranges = cache.protected_ranges();
  if (cache.head_pattern() != nullptr) document.heads = *cache.head_pattern();
  for (const Hash128& hash : block_hashes(cache.tokens(), header.model.fingerprint))
    document.blocks.push_back(hash_hex(hash));

  Collector collector;
  collector.add("tokens", DType::i32, cache.tokens());
  for (size_t j = 0; j < segments.size(); ++j)
    add_segment(segments[j], static_cast<int64_t>(j), collector, document);
  for (int64_t i = 0; i < shape.layer_count(); ++i)
    if (shape.layers[i].type == LayerKind::Type::ring)
      add_ring(cache.layer(i).tail, i, shape, collector);
  for (int64_t i = 0; i < shape.layer_count(); ++i)
    if (cache.layer(i).stream.active())
      add_stream(cache.layer(i).stream, i, cache.logical_length(), collector);
  document.checksums = collector.take_checksums();

  const std::string text = document_to_json(document);
  write_safetensors(path, collector.take(),
                    {{"format", std::string(kContainerFormat)},
                     // What has no streaming heads is a file of 1.0, as it was before 1.1.
                     {"version", fmt::format("{}.{}", kContainerMajor, document.heads ? 1 : 0)},
                     {"kvc", text},
                     {"kvc_xxh3", hash_hex(xxh3_64(std::as_bytes(std::span(text))))}});
}

}  // namespace limbeck
