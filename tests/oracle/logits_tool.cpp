// Writes the logits of a token sequence by every route that the library has, for the oracle script:
//   logits_tool MODEL TOKENS.json OUT.safetensors [--dtype f32|bf16]
// Each tensor is f32 [rows, vocabulary]:
//   oneshot, chunked        every row, by prefill in one piece and in pieces of 7
//   decode                  every row: the first half by prefill, the rest token by token
//   differentiable          every row, over an empty cache
//   differentiable_cached   the second half, over a cache that holds the first
//   batched, batched_other  rows behind the first half of tokens[0:] and of tokens[1:], decoded
//   together
#include "limbeck/base/error.h"
#include "limbeck/io/safetensors.h"
#include "limbeck/model/language_model.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <fstream>

namespace {

using namespace limbeck;
using Tokens = std::span<const int32_t>;
using Routes = std::map<std::string, at::Tensor>;

constexpr int64_t kChunk = 7;

at::Tensor prefill_all(const Model& model, KvCache& cache, Tokens tokens, int64_t chunk) {
  PrefillOptions options;
  options.chunk = chunk;
  options.logits = LogitsWanted::all;
  return prefill(model, cache, tokens, options);
}

at::Tensor decode(const Model& model, Tokens tokens) {
  KvCache cache = model.new_cache();
  const size_t half = tokens.size() / 2;
  std::vector<at::Tensor> rows{
      prefill_all(model, cache, tokens.first(half), static_cast<int64_t>(half))};
  for (size_t i = half; i < tokens.size(); ++i)
    rows.push_back(model.forward(cache, tokens.subspan(i, 1)).logits);
  return at::cat(rows);
}

at::Tensor differentiable(const Model& model, Tokens before, Tokens tokens) {
  KvCache cache = model.new_cache();
  if (!before.empty()) prefill(model, cache, before);
  c10::NoGradGuard guard;
  return model.forward_differentiable(cache, tokens, {.logits = LogitsWanted::all}).logits;
}

/// Two sequences of different lengths, each from its half on, one row of each a call.
std::pair<at::Tensor, at::Tensor> batched(const Model& model, Tokens a, Tokens b) {
  KvCache cache_a = model.new_cache(), cache_b = model.new_cache();
  const size_t half_a = a.size() / 2, half_b = b.size() / 2;
  prefill(model, cache_a, a.first(half_a));
  prefill(model, cache_b, b.first(half_b));
  std::vector<at::Tensor> rows_a, rows_b;
  const size_t steps = std::min(a.size() - half_a, b.size() - half_b);
  for (size_t i = 0; i < steps; ++i) {
    const std::vector<Feed> feeds{{&cache_a, a.subspan(half_a + i, 1)},
                                  {&cache_b, b.subspan(half_b + i, 1)}};
    const at::Tensor logits = model.forward(feeds).logits;
    rows_a.push_back(logits.narrow(0, 0, 1));
    rows_b.push_back(logits.narrow(0, 1, 1));
  }
  return {at::cat(rows_a), at::cat(rows_b)};
}

Routes all_routes(const Model& model, Tokens tokens) {
  Routes out;
  KvCache one = model.new_cache(), chunked = model.new_cache();
  out["oneshot"] = prefill_all(model, one, tokens, static_cast<int64_t>(tokens.size()));
  out["chunked"] = prefill_all(model, chunked, tokens, kChunk);
  out["decode"] = decode(model, tokens);
  out["differentiable"] = differentiable(model, {}, tokens);
  const size_t half = tokens.size() / 2;
  out["differentiable_cached"] = differentiable(model, tokens.first(half), tokens.subspan(half));
  std::tie(out["batched"], out["batched_other"]) = batched(model, tokens, tokens.subspan(1));
  return out;
}

void write(const std::filesystem::path& path, Routes& routes) {
  std::vector<TensorToWrite> tensors;
  for (auto& [name, t] : routes) {
    t = t.contiguous();
    tensors.push_back({name,
                       DType::f32,
                       t.sizes().vec(),
                       {static_cast<const std::byte*>(t.const_data_ptr()), t.nbytes()}});
  }
  write_safetensors(path, std::move(tensors), {});
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  const bool bf16 = args.size() == 5 && args[3] == "--dtype" && args[4] == "bf16";
  if (args.size() != 3 && !bf16 &&
      !(args.size() == 5 && args[3] == "--dtype" && args[4] == "f32")) {
    std::fputs("usage: logits_tool MODEL TOKENS.json OUT.safetensors [--dtype f32|bf16]\n", stderr);
    return 2;
  }
  try {
    std::ifstream file(args[1]);
    const auto tokens = nlohmann::json::parse(file).get<std::vector<int32_t>>();
    const Model model = load_model(args[0], {.dtype = bf16 ? DType::bf16 : DType::f32});
    Routes routes = all_routes(model, tokens);
    write(args[2], routes);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "logits_tool: %s\n", e.what());
    return 1;
  }
  return 0;
}
