/// Progress of long work: the library reports steps, whoever called decides what to show.
///
/// The library never prints. `ProgressPrinter` is for programs: one rewritten line with rate and
/// ETA on a terminal, JSON lines at most once a second elsewhere.
#pragma once

#include "limbeck/base/timing.h"

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>

namespace limbeck {

/// One report: `done` of `total` units ("tokens", "layers") of a stage.
struct ProgressStep {
  std::string_view stage;
  std::string_view unit;
  int64_t done = 0;
  int64_t total = 0;
  int64_t resumed = 0;  ///< of `done`: by an earlier run, no part of the rate
};

/// Called from the thread that works; may throw Cancelled to stop the work. Empty = nobody listens.
using ProgressFn = std::function<void(const ProgressStep&)>;

/// Reports when somebody listens.
inline void report_progress(const ProgressFn& fn, const ProgressStep& step) {
  if (fn) fn(step);
}

/// Writes progress to a stream (standard error by default).
class ProgressPrinter {
 public:
  explicit ProgressPrinter(std::FILE* out = stderr);
  ~ProgressPrinter();
  ProgressPrinter(const ProgressPrinter&) = delete;
  ProgressPrinter& operator=(const ProgressPrinter&) = delete;

  void operator()(const ProgressStep& step);
  /// Removes an unfinished line so that other output can follow.
  void clear();

  /// "prefill 512/4096 tokens, 1830/s, 2 s left" (tested apart from any clock).
  static std::string line(const ProgressStep& step, double seconds);
  static std::string json(const ProgressStep& step, double seconds);

 private:
  std::FILE* out_;
  bool terminal_;
  bool open_line_ = false;
  std::string stage_;
  Stopwatch stage_watch_;
  Stopwatch last_print_;
  bool printed_ = false;
};

}  // namespace limbeck
