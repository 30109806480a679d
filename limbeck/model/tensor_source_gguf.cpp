#include "limbeck/model/tensor_source.h"

#include "limbeck/base/error.h"
#include "limbeck/io/checksum.h"
#include "limbeck/io/gguf.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <map>
#include <optional>

namespace limbeck {
namespace {

/// Hugging Face's name of a weight to GGUF's: "model.layers.3.mlp.up_proj.weight" ->
/// "blk.3.ffn_up.weight".
std::string gguf_name(const std::string& name) {
  static const std::map<std::string, std::string, std::less<>> kWhole = {
      {"model.embed_tokens.weight", "token_embd.weight"},
      {"model.norm.weight", "output_norm.weight"},
      {"lm_head.weight", "output.weight"}};
  static const std::map<std::string, std::string, std::less<>> kLayer = {
      {"input_layernorm", "attn_norm"},    {"self_attn.q_proj", "attn_q"},
      {"self_attn.k_proj", "attn_k"},      {"self_attn.v_proj", "attn_v"},
      {"self_attn.o_proj", "attn_output"}, {"self_attn.q_norm", "attn_q_norm"},
      {"self_attn.k_norm", "attn_k_norm"}, {"post_attention_layernorm", "ffn_norm"},
      {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"}};
  if (auto it = kWhole.find(name); it != kWhole.end()) return it->second;
  constexpr std::string_view kPrefix = "model.layers.";
  if (!name.starts_with(kPrefix)) return {};
  const size_t dot = name.find('.', kPrefix.size());
  const size_t last = name.rfind('.');
  if (dot == std::string::npos || last <= dot) return {};
  auto it = kLayer.find(name.substr(dot + 1, last - dot - 1));
  if (it == kLayer.end()) return {};
  return "blk." + name.substr(kPrefix.size(), dot - kPrefix.size()) + "." + it->second +
         name.substr(last);
}

/// Row of the file that holds row `r` of the rotate-half layout: pairs (2j, 2j + 1) became (j, j +
/// D/2).
int64_t interleaved_row(int64_t r, int64_t head_dim) {
  const int64_t head = r / head_dim, j = r % head_dim, half = head_dim / 2;
  return head * head_dim + (j < half ? 2 * j : 2 * (j - half) + 1);
}

class GgufSource : public TensorSource {
 public:
  GgufSource(const GgufFile& file, GgufRopeLayout layout)
      : name_(file.name()), file_(file), layout_(layout) {}

  bool has(const std::string& name) const override {
    const std::string key = gguf_name(name);
    return !key.empty() && file_.find_tensor(key) != nullptr;
  }
  const std::string& name() const override { return name_; }

  void check(const std::string& name, std::span<const int64_t> shape) const override {
    find(name, shape);
  }

  void read(const std::string& name, const at::Tensor& out) const override {
    const GgufTensor* t = &find(name, {out.sizes().data(), out.sizes().size()});
    const bool matrix = t->shape.size() == 2;
    const int64_t rows = matrix ? t->shape[0] : 1, width = t->elements() / rows;
    const int64_t head_dim = permuted_head_dim(name, rows);
    at::parallel_for(0, rows, std::max<int64_t>(1, 65536 / width),
                     [&](int64_t first, int64_t last) {
                       // A plain buffer: this runs outside the caller's inference or autograd mode.
                       at::Tensor row = at::empty({width}, at::TensorOptions().dtype(at::kFloat));
                       std::span<float> view(row.mutable_data_ptr<float>(), width);
                       for (int64_t r = first; r < last; ++r) {
                         const int64_t source = head_dim > 0 ? interleaved_row(r, head_dim) : r;
                         gguf_dequantize(*t, source * width, (source + 1) * width, view);
                         (matrix ? out.select(0, r) : out).copy_(row);
                       }
                     });
  }

  std::string fingerprint(std::string_view spec_text) const override {
    constexpr size_t kSample = 4096;
    std::vector<const GgufTensor*> sorted;
    for (const GgufTensor& t : file_.tensors()) sorted.push_back(&t);
    std::sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) { return a->name < b->name; });
    Hasher128 hash;
    hash.update(spec_text);
    for (const GgufTensor* t : sorted) {
      hash.update(
          fmt::format("{} {} [{}]\n", t->name, gguf_type_name(t->type), fmt::join(t->shape, ",")));
      hash.update(t->data.first(std::min(kSample, t->data.size())));
      hash.update(t->data.last(std::min(kSample, t->data.size())));
    }
    return hash_hex(hash.digest());
  }

 private:
  const GgufTensor& find(const std::string& name, std::span<const int64_t> shape) const {
    const std::string key = gguf_name(name);
    const GgufTensor* t = key.empty() ? nullptr : file_.find_tensor(key);
    if (t == nullptr) throw FormatError("[model] {}: tensor \"{}\" missing", name_, name);
    if (!std::ranges::equal(t->shape, shape))
      throw FormatError("[model] {}: tensor \"{}\" must have shape [{}]; found [{}]", name_, key,
                        fmt::join(shape, ","), fmt::join(t->shape, ","));
    return *t;
  }

  /// Head dimension when the rows of this tensor are permuted, else 0.
  int64_t permuted_head_dim(const std::string& name, int64_t rows) const {
    if (!layout_.interleaved) return 0;
    const bool q = name.find("self_attn.q_proj.") != std::string::npos;
    const bool k = name.find("self_attn.k_proj.") != std::string::npos;
    if (!q && !k) return 0;
    return rows / (q ? layout_.query_heads : layout_.kv_heads);
  }

  std::string name_;
  GgufFile file_;
  GgufRopeLayout layout_;
};

}  // namespace

std::unique_ptr<TensorSource> open_gguf_source(const GgufFile& file, GgufRopeLayout layout) {
  return std::make_unique<GgufSource>(file, layout);
}

}  // namespace limbeck
