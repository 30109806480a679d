/// Footprints in closed form: what a run will need, from lengths and a method's parameters alone.
///
/// Predicts, plans, and tests the meter, which must come to the same numbers for the same policy
/// (arXiv 2506.17121). Prefill goes in chunks [a, b) for a = 0, C, 2 C, ..., the last
/// cut at the prompt's end; nothing is freed inside a chunk.
#pragma once

#include <cstdint>
#include <vector>

namespace limbeck {

struct NominalRun {
  int64_t prompt = 0;   ///< n rows
  int64_t decoded = 0;  ///< m rows: one less than the generated tokens
  int64_t chunk = 1;    ///< C rows
  int64_t rows() const { return prompt + decoded; }
};

/// One head: live counts over time, and the highest live count of each chunk and of decoding (left
/// out when nothing is decoded).
struct NominalHead {
  int64_t live_sum = 0;
  std::vector<int64_t> peaks;
};

/// Keeps everything.
NominalHead nominal_full(const NominalRun& run);
/// Keeps the first `sinks` and the last `window` entries (arXiv 2309.17453, 2410.10819).
NominalHead nominal_streaming(const NominalRun& run, int64_t sinks, int64_t window);
/// Native sliding-window layer: a row sees `window` entries at most, itself included.
NominalHead nominal_sliding(const NominalRun& run, int64_t window);
/// After each chunk of c rows keeps min(rne((1 - evicted) c) + observed, c) of its entries; what
/// has been kept stays (arXiv 2404.14469 by chunks).
NominalHead nominal_top_k(const NominalRun& run, double evicted, int64_t observed);
/// Chunks over the prompt without its last `local` rows, then those as one chunk; keeps
/// min(rne((1 - evicted) c) + stabiliser, c) of each (arXiv 2410.01805).
NominalHead nominal_reselection(const NominalRun& run, double evicted, int64_t local,
                                int64_t stabiliser);
/// After each chunk everything that is held is compacted to `budget` entries.
NominalHead nominal_budget(const NominalRun& run, int64_t budget);
/// The whole prompt, then one compaction to `kept` entries.
NominalHead nominal_post_fill(const NominalRun& run, int64_t kept);

struct NominalFootprint {
  double footprint = 0, peak = 0;
};
/// `share` of the heads run as `streaming`, the others as `other`. Throws InvalidArgument when the
/// lists of peaks differ in length or share leaves [0, 1].
NominalFootprint nominal_mix(const NominalRun& run, const NominalHead& streaming,
                             const NominalHead& other, double share);

/// Half to even: 0.5 -> 0, 1.5 -> 2, 2.5 -> 2.
int64_t round_half_even(double x);

/// The chunk that `auto` stands for when the method evicts during prefill: 2^floor(log2(n / 32)) in
/// [128, 4096].
int64_t auto_chunk(int64_t prompt);

/// Entries that chunk-wise PyramidKV (arXiv 2406.02069) keeps in each layer of a chunk of `rows`
/// rows when a head may keep `cap` of them, the last `window` always.
std::vector<int64_t> pyramid_kept(int64_t layers, int64_t rows, int64_t cap, int64_t window);

}  // namespace limbeck
