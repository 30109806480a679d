#include "limbeck/eval/lm_metrics.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/fidelity.h"
#include "limbeck/eval/report/intervals.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace limbeck {
namespace {

constexpr std::array<size_t, 4> kDistances = {1, 16, 64, 256};
constexpr std::array<double, 13> kDpQuantiles = {0,  0.1, 1,  5,  10,   25, 50,
                                                 75, 90,  95, 99, 99.9, 100};

void append(const at::Tensor& values, std::vector<double>& out) {
  const at::Tensor dense = values.to(at::kDouble).contiguous();
  out.insert(out.end(), dense.data_ptr<double>(), dense.data_ptr<double>() + dense.numel());
}

std::vector<double> sorted_part(const std::vector<double>& values, size_t begin, size_t end) {
  std::vector<double> out(values.begin() + static_cast<std::ptrdiff_t>(begin),
                          values.begin() + static_cast<std::ptrdiff_t>(end));
  std::sort(out.begin(), out.end());
  return out;
}

/// Metrics of positions [begin, end), their names followed by `suffix`.
void add_metrics(const LmPositions& p, size_t begin, size_t end, const std::string& suffix,
                 std::map<std::string, double>& out) {
  const auto mean = [&](const std::vector<double>& values) {
    return mean_of(std::span(values).subspan(begin, end - begin));
  };
  const auto set = [&](const std::string& name, double value) { out[name + suffix] = value; };
  set("nll", mean(p.nll_other));
  set("nll_full", mean(p.nll_full));
  set("ln_ratio", mean(p.nll_other) - mean(p.nll_full));
  set("top1", mean(p.agree));
  set("kl", mean(p.kl));
  const std::vector<double> kl = sorted_part(p.kl, begin, end), dp = sorted_part(p.dp, begin, end);
  for (const int percent : {50, 90, 95, 99})
    set(fmt::format("kl_{}", percent), sorted_quantile(kl, percent / 100.0));
  set("kl_max", kl.back());
  double squares = 0;
  for (const double x : dp) squares += x * x;
  set("dp_mean", mean(p.dp));
  set("dp_rms", std::sqrt(squares / static_cast<double>(dp.size())));
  for (const double percent : kDpQuantiles)
    set(fmt::format("dp_{:g}", percent), sorted_quantile(dp, percent / 100.0));
}

}  // namespace

void add_lm_rows(const at::Tensor& full, const at::Tensor& other, std::span<const int32_t> targets,
                 LmPositions& out) {
  c10::NoGradGuard guard;
  LIMBECK_CHECK(
      full.sizes() == other.sizes() && full.size(0) == static_cast<int64_t>(targets.size()),
      "{} and {} rows for {} targets", full.size(0), other.size(0), targets.size());
  const at::Tensor p = full.to(at::kDouble), q = other.to(at::kDouble);
  const std::vector<double> kl = row_divergences(full, other);
  out.kl.insert(out.kl.end(), kl.begin(), kl.end());
  append(full.argmax(-1).eq(other.argmax(-1)), out.agree);
  const at::Tensor index =
      at::tensor(std::vector<int64_t>(targets.begin(), targets.end()), at::kLong).unsqueeze(1);
  const at::Tensor at_full = p.gather(1, index).squeeze(1),
                   at_other = q.gather(1, index).squeeze(1);
  append(at_full.neg(), out.nll_full);
  append(at_other.neg(), out.nll_other);
  append(at_other.exp() - at_full.exp(), out.dp);
}

LmPositions lm_positions(const Model& model, KvCache& full, KvCache& other,
                         std::span<const int32_t> continuation) {
  c10::NoGradGuard guard;
  const auto count = static_cast<int64_t>(continuation.size());
  if (count < 2)
    throw InvalidArgument("[lm] a continuation must have at least 2 tokens; found {}", count);
  LmPositions out;
  for (int64_t at = 0; at + 1 < count; at += kLmBlock) {
    const auto rows = static_cast<size_t>(std::min(kLmBlock, count - 1 - at));
    const auto fed = continuation.subspan(static_cast<size_t>(at), rows);
    const auto log_probs = [&](KvCache& cache) {
      ForwardOptions all;
      all.logits = LogitsWanted::all;
      return at::log_softmax(model.forward(cache, fed, all).logits, -1);
    };
    const at::Tensor p = log_probs(full);
    add_lm_rows(p, log_probs(other), continuation.subspan(static_cast<size_t>(at) + 1, rows), out);
  }
  return out;
}

std::map<std::string, double> lm_metrics(const LmPositions& positions) {
  std::map<std::string, double> out;
  // Entry i is at distance i + 1 from the cut.
  const size_t count = positions.kl.size();
  if (count == 0) return out;
  add_metrics(positions, 0, count, "", out);
  for (size_t i = 0; i < kDistances.size(); ++i) {
    const bool last = i + 1 == kDistances.size();
    const size_t begin = kDistances[i] - 1,
                 end = last ? count : std::min(count, kDistances[i + 1] - 1);
    if (begin >= end) break;
    add_metrics(positions, begin, end,
                last ? fmt::format(" [{},K)", kDistances[i])
                     : fmt::format(" [{},{})", kDistances[i], kDistances[i + 1]),
                out);
  }
  return out;
}

}  // namespace limbeck
