/// What a summary says beyond single cells: left-out tasks, averages over groups, critical
/// footprints; and what of a cell is no score. Internal to this room.
#pragma once

#include "limbeck/eval/report/summary.h"

namespace limbeck {

/// The full cache's cell of the same task, length and mode; null when there is none.
const CellRows* full_of(std::span<const CellRows> cells, const CellKey& key);

/// Everything of a cell but its scores, which cost a bootstrap.
SummaryCell measured_cell(const CellRows& cell);

/// Tasks on which the full cache scores less than the option says, in the cells' order.
std::vector<LeftOutTask> left_out_tasks(std::span<const SummaryCell> cells,
                                        const SummaryOptions& options);
/// `summary` holds the cells (in the order of `rows`) and the tasks left out.
std::vector<SummaryGroup> group_averages(std::span<const CellRows> rows, const Summary& summary);
/// Of cells that have a category, in order of appearance.
std::vector<SummaryCategory> category_means(std::span<const SummaryCell> cells);
/// Of every task and method but the bounds, in the cells' order, over `what` of a cell.
std::vector<SummaryCritical> critical_values(std::span<const SummaryCell> cells,
                                             double SummaryCell::*what, double phi);
/// Over kept_ratio, which stands in the place of footprints.
std::vector<SummaryCritical> critical_kept(const Summary& summary);

}  // namespace limbeck
