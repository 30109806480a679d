#include "limbeck/footprint/meter.h"

#include "limbeck/base/error.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

namespace limbeck {
namespace {

/// Live counts of `rows` rows behind `held` entries, at most `window` (0 = any number) each.
int64_t live_sum(int64_t held, int64_t rows, int64_t window) {
  if (window == 0) return triangle(rows) + held * rows;
  const int64_t growing = std::clamp<int64_t>(window - held, 0, rows);
  return triangle(growing) + held * growing + window * (rows - growing);
}

int64_t capped(int64_t entries, int64_t window) {
  return window == 0 ? entries : std::min(entries, window);
}

double fraction(double part, double whole) {
  return whole > 0 ? part / whole : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

int64_t full_live_sum(int64_t rows, int64_t window) { return live_sum(0, rows, window); }

FootprintMeter::FootprintMeter(std::vector<int64_t> windows, int64_t kv_heads, int64_t slot_bytes)
    : windows_(std::move(windows)), kv_heads_(kv_heads), slot_bytes_(slot_bytes) {
  if (windows_.empty() || kv_heads_ < 1)
    throw InvalidArgument("[footprint] need layers and KV heads; found {} and {}", windows_.size(),
                          kv_heads_);
  restart(0);
}

void FootprintMeter::restart(int64_t rows) {
  first_ = rows;
  rows_ = peak_ = compacted_rows_ = byte_rows_ = kv_bytes_ = bytes_peak_ = 0;
  compacted_ = false;
  main_.assign(windows_.size() * static_cast<size_t>(kv_heads_), 0);
  aux_ = main_;
  compacted_main_.clear();
  steps_ = 0;
  timeline_.clear();
}

void FootprintMeter::add_corner(Corner corner) {
  if (!timeline_.empty() && timeline_.back() == corner) return;
  if (timeline_.size() >= 2) {
    // A middle corner of one straight line, as between two tokens of an answer, says nothing.
    const Corner &a = timeline_[timeline_.size() - 2], &b = timeline_.back();
    if (a.step < b.step && b.step < corner.step &&
        (b.live - a.live) * (corner.step - b.step) == (corner.live - b.live) * (b.step - a.step)) {
      timeline_.back() = corner;
      return;
    }
  }
  timeline_.push_back(corner);
}

void FootprintMeter::on_forward(int64_t rows, int64_t auxiliary, std::span<const int64_t> held) {
  LIMBECK_CHECK(held.size() == main_.size() && rows >= 0 && auxiliary >= 0,
                "{} counts for {} heads, {} and {} rows", held.size(), main_.size(), rows,
                auxiliary);
  int64_t live = 0, before = 0;
  for (size_t i = 0; i < held.size(); ++i) {
    const int64_t window = windows_[i / static_cast<size_t>(kv_heads_)];
    main_[i] += live_sum(held[i], rows, window);
    if (auxiliary > 0) aux_[i] += live_sum(capped(held[i] + rows, window), auxiliary, window);
    live += capped(held[i] + rows + auxiliary, window);
    before += capped(held[i], window);
  }
  rows_ += rows;
  if (keeps_timeline_ && rows + auxiliary > 0) {
    add_corner({steps_, before});
    add_corner({steps_ + rows + auxiliary, live});
  }
  steps_ += rows + auxiliary;
  peak_ = std::max(peak_, live);
}

void FootprintMeter::on_bytes(int64_t rows, int64_t bytes) {
  byte_rows_ += rows * bytes;
  if (!compacted_) kv_bytes_ = bytes;
  on_transient_bytes(bytes);
}

void FootprintMeter::on_transient_bytes(int64_t bytes) {
  bytes_peak_ = std::max(bytes_peak_, bytes);
}

void FootprintMeter::on_compaction(int64_t bytes, std::span<const int64_t> held) {
  compacted_ = true;
  compacted_rows_ = rows_;
  compacted_main_ = main_;
  kv_bytes_ = bytes;
  if (!keeps_timeline_ || held.empty()) return;
  int64_t live = 0;
  for (size_t i = 0; i < held.size(); ++i)
    live += capped(held[i], windows_[i / static_cast<size_t>(kv_heads_)]);
  add_corner({steps_, live});
}

int64_t FootprintMeter::full_sum(size_t head, int64_t from, int64_t to) const {
  const int64_t window = windows_[head / static_cast<size_t>(kv_heads_)];
  return full_live_sum(first_ + to, window) - full_live_sum(first_ + from, window);
}

FootprintReport FootprintMeter::report() const {
  FootprintReport r;
  r.rows = rows_;
  r.first_row = first_;
  // Heads with the same window have the same denominator: summed in integers, divided once.
  struct Sums {
    int64_t heads = 0, main = 0, aux = 0, after = 0, whole = 0, rest = 0;
  };
  std::map<int64_t, Sums> groups;
  int64_t full_peak = 0;
  double full_bytes = 0;
  for (size_t i = 0; i < main_.size(); ++i) {
    const int64_t window = windows_[i / static_cast<size_t>(kv_heads_)];
    Sums& s = groups[window];
    s.whole = full_sum(i, 0, rows_);
    s.rest = full_sum(i, compacted_rows_, rows_);
    ++s.heads;
    s.main += main_[i];
    s.aux += aux_[i];
    if (compacted_) s.after += main_[i] - compacted_main_[i];
    r.heads.push_back(fraction(static_cast<double>(main_[i]), static_cast<double>(s.whole)));
    full_peak += capped(first_ + rows_, window);
    full_bytes += static_cast<double>(s.whole) * static_cast<double>(slot_bytes_);
  }
  const auto mean = [&](int64_t Sums::*part, int64_t Sums::*whole) {
    double sum = 0;
    for (const auto& [window, s] : groups) {
      const auto share = static_cast<double>(s.heads) / static_cast<double>(main_.size());
      sum += share * fraction(static_cast<double>(s.*part),
                              static_cast<double>(s.*whole) * static_cast<double>(s.heads));
    }
    return sum;
  };
  r.footprint = mean(&Sums::main, &Sums::whole);
  r.footprint_total = r.footprint + mean(&Sums::aux, &Sums::whole);
  r.footprint_after =
      compacted_ ? mean(&Sums::after, &Sums::rest) : std::numeric_limits<double>::quiet_NaN();
  r.peak = fraction(static_cast<double>(peak_), static_cast<double>(full_peak));
  r.byte_footprint = fraction(static_cast<double>(byte_rows_), full_bytes);
  r.kv_bytes = kv_bytes_;
  r.kv_bytes_peak = bytes_peak_;
  for (const Corner& c : timeline_)
    r.timeline.push_back({c.step, static_cast<double>(c.live) / static_cast<double>(main_.size())});
  return r;
}

}  // namespace limbeck
