#include "limbeck/footprint/nominal.h"

#include "limbeck/base/error.h"
#include "limbeck/footprint/meter.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

namespace limbeck {
namespace {

void check(const NominalRun& run) {
  if (run.prompt < 1 || run.decoded < 0 || run.chunk < 1)
    throw InvalidArgument(
        "[footprint] need a prompt, no negative decoding and a chunk of at least 1; found {}, {} "
        "and {}",
        run.prompt, run.decoded, run.chunk);
}

/// A head whose held entries change only after a chunk: kept(held, rows) says to what.
NominalHead by_chunks(const std::vector<int64_t>& chunks, int64_t decoded,
                      const std::function<int64_t(int64_t, int64_t)>& kept) {
  NominalHead head;
  int64_t held = 0;
  const auto feed = [&](int64_t rows) {
    head.live_sum += triangle(rows) + held * rows;
    head.peaks.push_back(held + rows);
  };
  for (const int64_t rows : chunks) {
    feed(rows);
    held = kept(held, rows);
  }
  if (decoded > 0) feed(decoded);
  return head;
}

std::vector<int64_t> chunks_of(int64_t rows, int64_t chunk) {
  std::vector<int64_t> out;
  for (int64_t at = 0; at < rows; at += chunk) out.push_back(std::min(chunk, rows - at));
  return out;
}

}  // namespace

int64_t round_half_even(double x) {
  const double floor = std::floor(x), rest = x - floor;
  const auto whole = static_cast<int64_t>(floor);
  if (rest != 0.5) return rest > 0.5 ? whole + 1 : whole;
  return whole % 2 == 0 ? whole : whole + 1;
}

NominalHead nominal_full(const NominalRun& run) {
  check(run);
  return by_chunks(chunks_of(run.prompt, run.chunk), run.decoded,
                   [](int64_t held, int64_t rows) { return held + rows; });
}

NominalHead nominal_streaming(const NominalRun& run, int64_t sinks, int64_t window) {
  check(run);
  NominalHead head;
  const auto held = [&](int64_t at) {
    const int64_t local = std::min(at, window);
    return local + std::min(at - local, sinks);
  };
  for (int64_t a = 0; a < run.prompt; a += run.chunk) {
    const int64_t rows = std::min(run.chunk, run.prompt - a);
    head.live_sum += triangle(rows) + rows * held(a);
    head.peaks.push_back(rows + held(a));
  }
  for (int64_t a = run.prompt; a < run.rows(); ++a) head.live_sum += 1 + held(a);
  if (run.decoded > 0) head.peaks.push_back(1 + held(run.rows() - 1));
  return head;
}

NominalHead nominal_sliding(const NominalRun& run, int64_t window) {
  check(run);
  NominalHead head;
  head.live_sum = full_live_sum(run.rows(), window);
  for (int64_t a = 0; a < run.prompt; a += run.chunk)
    head.peaks.push_back(std::min(std::min(a + run.chunk, run.prompt), window));
  if (run.decoded > 0) head.peaks.push_back(std::min(run.rows(), window));
  return head;
}

NominalHead nominal_top_k(const NominalRun& run, double evicted, int64_t observed) {
  check(run);
  return by_chunks(chunks_of(run.prompt, run.chunk), run.decoded, [&](int64_t held, int64_t rows) {
    return held +
           std::min(round_half_even((1.0 - evicted) * static_cast<double>(rows)) + observed, rows);
  });
}

NominalHead nominal_reselection(const NominalRun& run, double evicted, int64_t local,
                                int64_t stabiliser) {
  check(run);
  std::vector<int64_t> chunks = chunks_of(run.prompt - std::min(local, run.prompt), run.chunk);
  if (local > 0) chunks.push_back(std::min(local, run.prompt));
  return by_chunks(chunks, run.decoded, [&](int64_t held, int64_t rows) {
    return held +
           std::min(round_half_even((1.0 - evicted) * static_cast<double>(rows)) + stabiliser,
                    rows);
  });
}

NominalHead nominal_budget(const NominalRun& run, int64_t budget) {
  check(run);
  return by_chunks(chunks_of(run.prompt, run.chunk), run.decoded,
                   [&](int64_t held, int64_t rows) { return std::min(budget, held + rows); });
}

NominalHead nominal_post_fill(const NominalRun& run, int64_t kept) {
  check(run);
  int64_t seen = 0;
  return by_chunks(chunks_of(run.prompt, run.chunk), run.decoded, [&](int64_t held, int64_t rows) {
    seen += rows;
    return seen == run.prompt ? std::min(kept, held + rows) : held + rows;
  });
}

NominalFootprint nominal_mix(const NominalRun& run, const NominalHead& streaming,
                             const NominalHead& other, double share) {
  check(run);
  if (!(share >= 0.0 && share <= 1.0))
    throw InvalidArgument("[footprint] the share of streaming heads must be in [0, 1]; found {}",
                          share);
  if (streaming.peaks.size() != other.peaks.size())
    throw InvalidArgument("[footprint] both heads must have the same chunks; found {} and {} peaks",
                          streaming.peaks.size(), other.peaks.size());
  const auto mixed = [&](int64_t a, int64_t b) {
    return share * static_cast<double>(a) + (1.0 - share) * static_cast<double>(b);
  };
  NominalFootprint out;
  out.footprint =
      mixed(streaming.live_sum, other.live_sum) / static_cast<double>(triangle(run.rows()));
  for (size_t i = 0; i < other.peaks.size(); ++i)
    out.peak = std::max(out.peak, mixed(streaming.peaks[i], other.peaks[i]));
  out.peak /= static_cast<double>(run.rows());
  return out;
}

int64_t auto_chunk(int64_t prompt) {
  const int64_t share = std::max<int64_t>(prompt / 32, 1);
  const auto power = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(share)));
  return std::clamp<int64_t>(power, 128, 4096);
}

std::vector<int64_t> pyramid_kept(int64_t layers, int64_t rows, int64_t cap, int64_t window) {
  if (layers < 1) throw InvalidArgument("[footprint] need a layer; found {}", layers);
  std::vector<int64_t> out(static_cast<size_t>(layers));
  if (rows <= window || rows <= cap) return std::vector<int64_t>(out.size(), rows);
  if (cap <= window) return std::vector<int64_t>(out.size(), window);
  const int64_t budget = cap - window;
  if (rows < 2 * budget || layers == 1) return std::vector<int64_t>(out.size(), cap);
  int64_t least = budget / 20, most = 2 * budget - least;
  if (most >= rows - window) {
    most = rows - window;
    least = 2 * budget - most;
  }
  const int64_t step = (most - least) / (layers - 1);
  for (int64_t l = 0; l < layers; ++l) out[l] = most - l * step + window;
  return out;
}

}  // namespace limbeck
