/// The KV footprint of one sequence (arXiv 2506.17121): how many entries were held, and for how
/// long.
///
/// Time is the query axis: one step a token row, whether it came from a prefill chunk or from
/// decoding. A row's live count is what the head holds when the row has been added, itself
/// included, before anything is freed. The footprint is the sum of live counts over that of a full
/// causal cache, 1 + 2 + ... + N, as a mean over all heads (arXiv 2506.17121). Skipping
/// reads without freeing scores 1; bit width, compute and positions do not count. Non-goals:
/// looking at a cache (the caller says what is held), batches (one meter a sequence).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace limbeck {

/// x (x + 1) / 2: the live counts of x rows that nothing is freed from.
constexpr int64_t triangle(int64_t x) { return x * (x + 1) / 2; }

/// Sum of min(t, window) over rows t = 1 .. rows; window 0 = no window.
int64_t full_live_sum(int64_t rows, int64_t window = 0);

/// What heads hold at a moment. Steps count all rows, auxiliary ones included.
struct HeldPoint {
  int64_t step = 0;
  double entries = 0;  ///< mean over heads
};

struct FootprintReport {
  int64_t rows = 0;            ///< N: rows run through the model, auxiliary ones apart
  int64_t first_row = 0;       ///< rows that had been run elsewhere before (a cache from a file)
  double footprint = 0;        ///< F, the published definition; NaN without rows
  double footprint_total = 0;  ///< F and the auxiliary rows' share; used for ranking
  double footprint_after = 0;  ///< of the rows since the last compaction; NaN when there are none
  double peak = 0;             ///< highest mean live count over that of a full cache of N rows
  double byte_footprint = 0;   ///< bytes over time / those of an uncompressed cache without slack
  int64_t kv_bytes = 0;        ///< held after the last compaction, else after the last row
  int64_t kv_bytes_peak = 0;   ///< high-water mark, transient copies included
  std::vector<double> heads;   ///< [layers * KV heads] F of each head
  /// Corners of the entries held over time, straight between them (a native window that fills
  /// within a call bends the line). Empty without keep_timeline().
  std::vector<HeldPoint> timeline;
};

class FootprintMeter {
 public:
  FootprintMeter() = default;
  /// windows [layers]: of native sliding-window layers, the row itself counted; 0 = full layer.
  /// slot_bytes: key and value of one entry of one head.
  FootprintMeter(std::vector<int64_t> windows, int64_t kv_heads, int64_t slot_bytes);

  /// Begins to note corners for the timeline, a few for each call that does not go on where the one
  /// before ended. Off by default: they grow with the number of compactions.
  void keep_timeline() { keeps_timeline_ = true; }
  /// One forward call of `rows` main rows and `auxiliary` rows behind them (patches, repeat passes:
  /// never part of N, but they raise the peak). held [layers * KV heads]: entries before it.
  void on_forward(int64_t rows, int64_t auxiliary, std::span<const int64_t> held);
  /// `bytes` held by the allocator while the last `rows` rows were added.
  void on_bytes(int64_t rows, int64_t bytes);
  /// A moment at which `bytes` were held, transient copies included.
  void on_transient_bytes(int64_t bytes);
  /// Entries have been freed; `bytes` are left, and held [layers * KV heads] entries, which only
  /// the timeline needs to know: without them the fall shows with the next rows.
  void on_compaction(int64_t bytes, std::span<const int64_t> held = {});
  /// Forgets everything; the sequence goes on behind `rows` rows that were run elsewhere.
  void restart(int64_t rows);

  int64_t rows() const { return rows_; }
  FootprintReport report() const;

 private:
  struct Corner {
    int64_t step = 0, live = 0;  ///< live: sum over heads
    bool operator==(const Corner&) const = default;
  };

  int64_t full_sum(size_t head, int64_t from, int64_t to) const;
  void add_corner(Corner corner);

  std::vector<int64_t> windows_;  ///< [layers]
  int64_t kv_heads_ = 0, slot_bytes_ = 0;
  int64_t first_ = 0, rows_ = 0;     ///< rows before the meter began, rows since
  std::vector<int64_t> main_, aux_;  ///< [layers * KV heads] live counts over time
  int64_t peak_ = 0;                 ///< highest sum of live counts over heads
  bool compacted_ = false;
  int64_t compacted_rows_ = 0;           ///< rows_ at the last compaction
  std::vector<int64_t> compacted_main_;  ///< main_ at the last compaction
  int64_t byte_rows_ = 0, kv_bytes_ = 0, bytes_peak_ = 0;
  bool keeps_timeline_ = false;
  int64_t steps_ = 0;  ///< rows and auxiliary rows
  std::vector<Corner> timeline_;
};

}  // namespace limbeck
