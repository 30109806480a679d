/// A made-up run that fills every part of the page, for the tests of what a reader sees.
#pragma once

#include "limbeck/eval/report/report_testing.h"

#include <algorithm>
#include <cmath>

namespace limbeck::test {

struct DemoRun {
  std::vector<SampleRow> rows;
  std::vector<HeadsRow> heads;
};

struct DemoMethod {
  const char* label;
  double loss;     ///< larger: quality falls earlier
  double seconds;  ///< of a compaction at half the entries
};

inline const std::vector<DemoMethod>& demo_methods() {
  static const std::vector<DemoMethod> methods{
      {"snap", 0.30, 0.4},     {"keydiff", 0.24, 0.15},
      {"contest", 0.05, 8.0},  {"wpc+beta, refined in two rounds", 0.08, 3.5},
      {"expected", 0.18, 0.9}, {"kvzip", 0.07, 5.0},
      {"tova", 0.27, 0.3},     {"pyramid", 0.28, 0.45},
      {"random", 0.90, 0.01},  {"streaming", 0.55, 0.02}};
  return methods;
}

/// Chance of a right answer; the shape of published curves, the numbers are made up.
inline double demo_quality(double loss, double budget) {
  return 0.96 * std::exp(-loss * std::pow((1 - budget) / budget, 0.8));
}

inline SampleRow demo_row(const std::string& task, int64_t length, int64_t i,
                          const std::string& method, double budget, double quality,
                          double seconds) {
  Random random(fnv1a64(fmt::format("{}|{}|{}|{}|{}", task, length, i, method, budget)));
  SampleRow r = row(task, i, method, budget, random.uniform() < quality ? 1.0 : 0.0);
  r.length = length;
  r.doc_id = fmt::format("{}-{}", length, i);
  r.kv_bytes = static_cast<int64_t>(static_cast<double>(length) * budget * 28672 + 90000);
  r.compaction_seconds =
      seconds * (1 + 0.2 * random.uniform()) * static_cast<double>(length) / 4096;
  r.footprint_total = method == kFullLabel ? 1 : 0.4 + 0.55 * budget;
  r.prediction = r.score > 0 ? "The numbers are 7313211 and 99."
                             : "I do not know.\n</pre><script>alert('no')</script> & \"quotes\"";
  r.outputs = {"7313211", "99"};
  return r;
}

template <class Add>
void demo_for_each(Add&& add) {
  add("full", 1.0, 0.97, 0.0);
  add("none", 0.0, 0.04, 0.0);
  for (const DemoMethod& m : demo_methods())
    for (const double budget : {0.5, 0.25, 0.125, 0.0625})
      add(m.label, budget, demo_quality(m.loss, budget), m.seconds * (1.2 - 0.4 * budget));
}

inline void add_language_model_rows(DemoRun& run) {
  demo_for_each([&](const char* method, double budget, double quality, double seconds) {
    for (int64_t i = 0; i < 6 && budget > 0; ++i) {
      SampleRow r = demo_row("lm", 2048, i, method, budget, 1, seconds);
      r.group = "language model";
      const double kl = 0.5 * (0.97 - std::min(quality, 0.969)) * (1 + 0.05 * i);
      r.score = std::max(0.0, 1 - kl);
      r.metrics["kl_50"] = kl * 0.02;
      r.metrics["kl_90"] = kl * 0.6;
      r.metrics["kl_99"] = kl * 4;
      run.rows.push_back(r);
    }
  });
}

inline void add_needle_rows(DemoRun& run) {
  demo_for_each([&](const char* method, double budget, double quality, double seconds) {
    if (budget != 0.25 && budget < 1) return;
    for (const int64_t length : {1024, 2048, 4096, 8192})
      for (int64_t depth = 0; depth <= 10; ++depth)
        for (int64_t i = 0; i < 3; ++i) {
          const double here = depth == 0 || depth == 10 ? 0.97 : quality;
          SampleRow r =
              demo_row("needle_grid", length, 3 * depth + i, method, budget, here, seconds);
          r.group = "needle_grid";
          r.metrics["depth"] = 10.0 * static_cast<double>(depth);
          run.rows.push_back(r);
        }
  });
}

inline void add_heads(DemoRun& run) {
  for (const char* method : {"contest", "snap"})
    for (int64_t i = 0; i < 4; ++i) {
      HeadsRow h{"niah_single_2", fmt::format("4096-{}", i), method, 4096, 0.25, 28, 4, {}};
      Random random(static_cast<uint64_t>(i) + fnv1a64(method));
      for (int64_t k = 0; k < h.layers * h.kv_heads; ++k) {
        const double wave = 1 + 0.8 * std::sin(0.37 * static_cast<double>(k));
        h.kept.push_back(std::lround(1024 * wave * (0.9 + 0.2 * random.uniform())));
      }
      h.timeline = {{0, 0}, {4096, 4096}, {4096, 1024}, {4160, 1088}};
      run.heads.push_back(h);
    }
}

inline DemoRun demo_run() {
  DemoRun run;
  for (const std::string task : {"niah_single_2", "niah_multikey_1", "vt", "cwe", "fwe", "qa_1"})
    demo_for_each([&](const char* method, double budget, double quality, double seconds) {
      const double hard = task == "qa_1" ? 0.4 : task == "cwe" ? 0.85 : 1.0;
      for (int64_t i = 0; i < 24; ++i)
        run.rows.push_back(demo_row(task, 4096, i, method, budget, hard * quality, seconds));
    });
  run.rows[40].error = "cuda: out of memory <b>\"";
  run.rows[40].finish = "error";
  run.rows[40].score = 0;
  add_language_model_rows(run);
  add_needle_rows(run);
  add_heads(run);
  return run;
}

}  // namespace limbeck::test
