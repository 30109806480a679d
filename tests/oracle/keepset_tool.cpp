// Compacts one text by several methods and writes which positions each head keeps, for the oracle
// script:
//   keepset_tool MODEL REQUEST.json OUT.json
// The request is {"tokens": [ids], "runs": [{"name", "method", "budget", "scorer": {option: text},
// "allocator": name}]}, the answer {name: [layer][head][ascending positions]}.
#include "limbeck/base/error.h"
#include "limbeck/compact/compact.h"
#include "limbeck/model/language_model.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <fstream>

namespace {

using namespace limbeck;

std::vector<std::vector<std::vector<int32_t>>> keep_sets(const Model& model, KvCache cache,
                                                         const nlohmann::json& run) {
  CompactOptions o;
  o.method = run.at("method").get<std::string>();
  o.budget = run.at("budget").get<int64_t>();
  o.scorer_options = run.value("scorer", OptionTexts{});
  o.allocator = run.value("allocator", "");
  compact(model, cache, o);
  std::vector<std::vector<std::vector<int32_t>>> out;
  for (int64_t l = 0; l < cache.shape().layer_count(); ++l) {
    const LayerSegment s = cache_gather(cache, l, {0, cache.logical_length()});
    const int32_t* p = s.positions.const_data_ptr<int32_t>();
    out.emplace_back();
    for (int64_t h = 0; h < s.kv_heads(); ++h)
      out.back().emplace_back(p + s.offsets[h], p + s.offsets[h + 1]);
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: keepset_tool MODEL REQUEST.json OUT.json\n", stderr);
    return 2;
  }
  try {
    std::ifstream file(argv[2]);
    const auto request = nlohmann::json::parse(file);
    const Model model = load_model(argv[1], {.dtype = DType::f32});
    KvCache cache = model.new_cache();
    prefill(model, cache, request.at("tokens").get<std::vector<int32_t>>());
    nlohmann::json out;
    for (const auto& run : request.at("runs"))
      out[run.at("name").get<std::string>()] = keep_sets(model, cache.clone(), run);
    std::ofstream(argv[3]) << out.dump();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "keepset_tool: %s\n", e.what());
    return 1;
  }
  return 0;
}
