/// The .kvc container: a cache on disk, readable by any safetensors reader (docs/cache-format.md).
///
/// Goals: bit-equal logits after a restore; a file of another model, a damaged or a lying file is
/// refused with a text that says what to do. Non-goals: codecs (they come as `features`),
/// encryption.
#pragma once

#include "limbeck/cache/kv_cache.h"

#include <filesystem>
#include <map>
#include <string>

namespace limbeck {

/// What a cache must agree on with a model before it can be used with it.
struct ModelIdentity {
  std::string family;       ///< "llama", "qwen2", ...
  std::string fingerprint;  ///< hex; empty = not checked
  int64_t query_heads = 0;
  double scale = 0;  ///< softmax scale
  std::string rope;  ///< canonical description of the rotary embedding
};

struct ContainerHeader {
  ModelIdentity model;
  std::string tokenizer_fingerprint, template_fingerprint;  ///< empty = none
  std::string producer;
  /// Free text facts, e.g. the chat prefix and suffix around the compacted span.
  std::map<std::string, std::string> notes;
};

/// Writes atomically. The tail becomes the last segment, marked so that a restore makes it the tail
/// again. Throws InvalidArgument for an empty cache, ResourceError for the disk.
void cache_save(const KvCache& cache, const ContainerHeader& header,
                const std::filesystem::path& path);

struct LoadedCache {
  KvCache cache;
  ContainerHeader header;
};

/// Validates in the order size, header, kvc_xxh3, version, features, fingerprint, shapes and
/// offsets, positions, finite bias, checksums. `expected` (with its shape) may be null: then only
/// the file itself is judged. Throws FormatError (the file) or Mismatch (the model), nothing
/// half-loaded.
LoadedCache cache_load(const std::filesystem::path& path, const ModelIdentity* expected = nullptr,
                       const CacheShape* expected_shape = nullptr);

/// Header and segment table without reading tensors: the JSON document of the file, validated as
/// far as version and kvc_xxh3. For `limbeck inspect`.
std::string cache_describe(const std::filesystem::path& path);

}  // namespace limbeck
