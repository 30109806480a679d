// Compacts the cache of a small random model.
#include <limbeck/compact/compact.h>
#include <limbeck/model/config.h>

int main() {
  const limbeck::ModelSpec spec = limbeck::spec_from_config(
      R"({"model_type": "qwen3", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 100})",
      "client");
  const limbeck::Model model = limbeck::random_model(spec, limbeck::DType::f32, 1);
  limbeck::KvCache cache = model.new_cache();
  prefill(model, cache, std::vector<int32_t>(40, 7));
  const limbeck::CompactReport report = compact(model, cache, {.method = "keydiff", .ratio = 0.25});
  fmt::print("{} of {} entries kept\n", report.entries_after, report.entries_before);
  return report.entries_after == report.entries_before / 4 ? 0 : 1;
}
