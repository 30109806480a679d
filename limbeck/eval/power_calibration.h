/// By which power head weights are to count in the coverage of small budgets
/// (HeadTable::coverage_power).
///
/// Weights say what an error of a head's output costs on the average (calibrate/heads.h). Whether
/// the heads that look facts up are among those of high weight depends on the model, so that each
/// model is asked: the default method compacts a text with hidden needles to a fiftieth, with every
/// power, and the divergences from the full cache decide (docs/methods.md).
#pragma once

#include "limbeck/eval/text_source.h"
#include "limbeck/heads/head_table.h"
#include "limbeck/model/generate.h"

#include <span>
#include <vector>

namespace limbeck {

struct PowerCalibrationOptions {
  int64_t contexts = 4;
  int64_t tokens = 1024;  ///< of a context
};

/// Means over the contexts of KL(full || compact) in nats a token.
struct PowerTrial {
  double power = 0, kl_answers = 0, kl_continuation = 0;
};

/// The default method at a fiftieth with the powers 0, 0.15 and 0.35 of `weights`. Throws what
/// evaluate_compaction() throws, InvalidArgument among them when the texts are too short.
std::vector<PowerTrial> try_coverage_powers(const LanguageModel& lm, std::vector<SourceText> texts,
                                            const HeadTable& weights,
                                            const PowerCalibrationOptions& options,
                                            const ProgressFn& progress = {});

/// The power of the lowest sum of both divergences, if that is a tenth below what 0 has; else 0.
double best_coverage_power(std::span<const PowerTrial> trials);

}  // namespace limbeck
