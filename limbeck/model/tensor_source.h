/// Named weights from either kind of file, under Hugging Face's names and layout.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

class GgufFile;

class TensorSource {
 public:
  virtual ~TensorSource() = default;
  virtual bool has(const std::string& name) const = 0;
  /// Throws FormatError naming file, tensor and both shapes unless `name` has this shape. Called
  /// before anything of that size is allocated.
  virtual void check(const std::string& name, std::span<const int64_t> shape) const = 0;
  /// Converts tensor `name`, which must have the shape of `out`, into `out` (contiguous, bf16 or
  /// f32). Throws FormatError naming file, tensor and both shapes.
  virtual void read(const std::string& name, const at::Tensor& out) const = 0;
  /// Hex XXH3-128 over names, dtypes, shapes and the first and last 4 KiB of every tensor, seeded
  /// with `spec_text`.
  virtual std::string fingerprint(std::string_view spec_text) const = 0;
  /// What to call the source in error texts.
  virtual const std::string& name() const = 0;
};

/// Folder with model.safetensors or shards. Strips "language_model." prefixes of multimodal models.
std::unique_ptr<TensorSource> open_safetensors_source(const std::filesystem::path& folder);
/// GGUF; `interleaved_heads` undoes the row permutation of attn_q/attn_k for that many query and KV
/// heads.
struct GgufRopeLayout {
  bool interleaved = false;
  int64_t query_heads = 0, kv_heads = 0;
};
std::unique_ptr<TensorSource> open_gguf_source(const GgufFile& file, GgufRopeLayout layout);

}  // namespace limbeck
