/// A run as one page: report.html.
///
/// One file without script, network or external resource (a policy in its head forbids them too);
/// readable on light and dark screens and on paper. All foreign text is escaped: what a model wrote
/// is shown, never obeyed. Non-goals: interaction beyond folding and tooltips.
#pragma once

#include "limbeck/eval/report/figures.h"

#include <nlohmann/json.hpp>

#include <span>
#include <string>
#include <vector>

namespace limbeck {

struct ReportInput {
  std::string title = "Evaluation";
  nlohmann::ordered_json manifest;   ///< facts of the run, shown as they are; may be null
  std::vector<std::string> remarks;  ///< shown first, such as that seconds are invalid
  std::span<const SampleRow> rows;
  std::span<const HeadsRow> heads;
  SummaryOptions options = {};
};

/// Throws InvalidArgument when the rows cannot be of one run.
std::string report_html(const ReportInput& input);

std::string table_html(const Table& table);

}  // namespace limbeck
