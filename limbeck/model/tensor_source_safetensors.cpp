#include "limbeck/model/tensor_source.h"

#include "limbeck/base/error.h"
#include "limbeck/cache/segment.h"
#include "limbeck/io/checksum.h"
#include "limbeck/io/safetensors.h"

#include <algorithm>
#include <map>

namespace limbeck {
namespace {

/// "model.language_model.layers.0..." and "language_model.model.layers.0..." to
/// "model.layers.0...".
std::string plain_name(const std::string& name) {
  for (std::string_view prefix : {"language_model.model.", "model.language_model."})
    if (name.starts_with(prefix)) return "model." + name.substr(prefix.size());
  if (name.starts_with("language_model.lm_head.")) return name.substr(15);
  return name;
}

bool other_modality(const std::string& name) {
  for (std::string_view part :
       {"vision_tower.", "multi_modal_projector.", "visual.", "audio_tower."})
    if (name.find(part) != std::string::npos) return true;
  return false;
}

class SafetensorsSource : public TensorSource {
 public:
  explicit SafetensorsSource(const std::filesystem::path& folder)
      : name_(folder.string()), checkpoint_(open_safetensors_checkpoint(folder)) {
    for (const auto& [name, tensor] : checkpoint_.tensors)
      if (!other_modality(name)) tensors_[plain_name(name)] = tensor;
  }

  bool has(const std::string& name) const override { return tensors_.contains(name); }
  const std::string& name() const override { return name_; }

  void check(const std::string& name, std::span<const int64_t> shape) const override {
    find(name, shape);
  }

  void read(const std::string& name, const at::Tensor& out) const override {
    const StoredTensor& t = find(name, {out.sizes().data(), out.sizes().size()});
    if (t.dtype != DType::f32 && t.dtype != DType::bf16 && t.dtype != DType::f16 &&
        t.dtype != DType::f64)
      throw FormatError("[model] {}: tensor \"{}\" must be a float type; found {}", name_, name,
                        dtype_name(t.dtype));
    if (t.data.empty()) return;
    auto* data = const_cast<std::byte*>(t.data.data());
    const auto options = at::TensorOptions().dtype(to_scalar_type(t.dtype));
    if (reinterpret_cast<uintptr_t>(data) % dtype_size(t.dtype) == 0) {
      out.copy_(at::from_blob(data, t.shape, options));
      return;
    }
    at::Tensor aligned = at::empty(t.shape, options);
    std::copy(t.data.begin(), t.data.end(), static_cast<std::byte*>(aligned.data_ptr()));
    out.copy_(aligned);
  }

  std::string fingerprint(std::string_view spec_text) const override {
    constexpr size_t kSample = 4096;
    Hasher128 hash;
    hash.update(spec_text);
    for (const auto& [name, t] : tensors_) {
      hash.update(
          fmt::format("{} {} [{}]\n", name, dtype_name(t->dtype), fmt::join(t->shape, ",")));
      hash.update(t->data.first(std::min(kSample, t->data.size())));
      hash.update(t->data.last(std::min(kSample, t->data.size())));
    }
    return hash_hex(hash.digest());
  }

 private:
  const StoredTensor& find(const std::string& name, std::span<const int64_t> shape) const {
    auto it = tensors_.find(name);
    if (it == tensors_.end()) throw FormatError("[model] {}: tensor \"{}\" missing", name_, name);
    if (!std::ranges::equal(it->second->shape, shape))
      throw FormatError("[model] {}: tensor \"{}\" must have shape [{}]; found [{}]", name_, name,
                        fmt::join(shape, ","), fmt::join(it->second->shape, ","));
    return *it->second;
  }

  std::string name_;
  SafetensorsCheckpoint checkpoint_;
  std::map<std::string, const StoredTensor*> tensors_;
};

}  // namespace

std::unique_ptr<TensorSource> open_safetensors_source(const std::filesystem::path& folder) {
  return std::make_unique<SafetensorsSource>(folder);
}

}  // namespace limbeck
