/// Made-up runs for this folder's tests.
#pragma once

#include "limbeck/base/random.h"
#include "limbeck/eval/report/sample_row.h"

#include <fmt/format.h>

#include <string>
#include <vector>

namespace limbeck::test {

/// A good row of the full cache.
inline SampleRow row(const std::string& task, int64_t ordinal, const std::string& method,
                     double budget, double score) {
  SampleRow r;
  r.task = task;
  r.group = "ruler";
  r.ordinal = ordinal;
  r.length = 4096;
  r.doc_id = fmt::format("4096-{}", ordinal);
  r.q_id = "0";
  r.method = method;
  r.budget = budget;
  r.score = score;
  r.prediction = r.parsed = score > 0.5 ? "right" : "wrong";
  r.outputs = {"right"};
  r.metrics["found"] = 1;
  r.finish = "stop";
  r.document_tokens = 4000;
  r.prompt_tokens = 4050;
  r.generated_tokens = 11;
  r.kept = 4000 * budget;
  r.kept_min = static_cast<int64_t>(2000 * budget);
  r.kept_max = static_cast<int64_t>(6000 * budget);
  r.kept_ratio = budget;
  r.kv_bytes = static_cast<int64_t>(4000 * budget) * 1024 * 28;
  r.bytes_ratio = budget;
  r.footprint = 0.5 + budget / 2;
  r.footprint_total = 0.55 + 0.45 * budget;
  r.footprint_after = budget;
  r.peak = 1;
  r.kv_bytes_peak = int64_t{4000} * 1024 * 28;
  r.compaction_seconds = method == kFullLabel ? 0 : 0.5 + 0.125 * static_cast<double>(ordinal);
  r.seconds = {{"prefill", 2.0}, {"score", 0.25}, {"question", 0.5}, {"decode", 1.0}};
  return r;
}

/// `documents` of each of two tasks: the full cache at 1, "good" a little, "bad" far below.
inline std::vector<SampleRow> small_run(int64_t documents = 8) {
  std::vector<SampleRow> rows;
  for (const std::string task : {"vt", "cwe"})
    for (int64_t i = 0; i < documents; ++i) {
      rows.push_back(row(task, i, "full", 1.0, 1.0));
      for (const double budget : {0.5, 0.25}) {
        rows.push_back(row(task, i, "good", budget, i % 8 == 0 && budget < 0.5 ? 0.5 : 1.0));
        rows.push_back(row(task, i, "bad", budget, i % 4 == 0 ? 0.5 : 0.0));
      }
    }
  return rows;
}

template <class T>
void shuffle(std::vector<T>& list, uint64_t seed) {
  Random random(seed);
  for (size_t i = list.size(); i-- > 1;) std::swap(list[i], list[random.below(i + 1)]);
}

}  // namespace limbeck::test
