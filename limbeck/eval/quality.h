/// Calibration of "this much quality instead of this ratio": curves of methods on one model, from
/// measurements (compact/quality/curve.h), kept in a file beside it.
///
/// Quality of a method at a ratio on one text: (nll_full + eps) / (nll_compact + eps), at most 1,
/// nats per token of the gold answers of its needles (arXiv 2507.08143; eps is ours: the bare ratio
/// of two tiny numbers is noise).
#pragma once

#include "limbeck/compact/quality/curve.h"
#include "limbeck/eval/compaction_eval.h"

#include <filesystem>
#include <string>
#include <vector>

namespace limbeck {

inline constexpr double kQualityEpsilon = 0.02;

struct MethodQuality {
  std::string method;       ///< entry as given (eval/method_entry.h)
  std::string fingerprint;  ///< of the method, its options and head tables
  QualityFit fit;
  int64_t samples = 0, contexts = 0;
};

struct QualityFile {
  std::string architecture, model_fingerprint;
  std::vector<MethodQuality> methods;  ///< one per fingerprint
  const MethodQuality* find(const std::string& fingerprint) const;
};

/// Throws FormatError (file, field, rule, value) and ResourceError.
QualityFile read_quality_file(const std::filesystem::path& file);
QualityFile parse_quality_file(std::string_view text, std::string_view what);
/// The file appears whole or not at all.
void write_quality_file(const QualityFile& quality, const std::filesystem::path& file);

/// One sample per context and ratio of a method's rows. Rows without a text loss are left out.
std::vector<QualitySample> quality_samples(const std::vector<EvalRow>& rows,
                                           const std::string& method);
/// Fits every method of the plan. Throws what fit_quality() throws, naming the method.
std::vector<MethodQuality> fit_methods(const EvalPlan& plan, const EvalResult& result);

}  // namespace limbeck
