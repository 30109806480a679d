#include "limbeck/compact/allocate/allocator.h"

namespace limbeck {

const std::vector<AllocatorEntry>& allocator_registry() {
  static const std::vector<AllocatorEntry> entries = {
      {"adakv", "a safe share for every head, the rest by rank over the layer", "arXiv 2407.11550",
       make_adakv_allocator, describe_adakv_allocator},
      {"chunk", "groups of neighbours, the same tokens for every head of a layer",
       "arXiv 2502.00299", make_chunk_allocator, describe_chunk_allocator},
      {"head", "heads keep everything or only what is protected, by a head table",
       "arXiv 2505.23416", make_head_allocator, describe_plain_allocator},
      {"layer", "one ranking over the heads of a layer", "arXiv 2407.11550", make_layer_allocator,
       describe_plain_allocator},
      {"lazy", "layers whose last token looks at first and newest ones alone keep only these",
       "arXiv 2410.13846", make_lazy_allocator, describe_lazy_allocator},
      {"model", "one ranking over all heads and layers", "arXiv 2505.23416", make_model_allocator,
       describe_plain_allocator},
      {"norm-stop", "every head stops when its best slots carry almost all of its scores",
       "arXiv 2502.16886", make_norm_stop_allocator, describe_norm_stop_allocator},
      {"pyramid", "low layers keep more than high ones", "arXiv 2406.02069", make_pyramid_allocator,
       describe_pyramid_allocator},
      {"table", "every head keeps its share of a head table", "ours", make_table_allocator,
       describe_plain_allocator},
      {"threshold", "what scores high enough, and the newest", "arXiv 2601.07891",
       make_threshold_allocator, describe_threshold_allocator},
      {"uniform", "every head keeps the same share", "none", make_uniform_allocator,
       describe_plain_allocator},
  };
  return entries;
}

std::unique_ptr<Allocator> make_allocator(std::string_view name, const AllocatorOptions& options) {
  std::string known;
  for (const AllocatorEntry& e : allocator_registry()) {
    if (e.name == name) return e.make(options);
    known += (known.empty() ? "" : ", ") + e.name;
  }
  throw InvalidArgument("[compact] unknown allocator \"{}\"; known: {}", name, known);
}

}  // namespace limbeck
