/// Figures of a run, each with the table of what it draws.
///
/// Goals: a method has the same colour and mark in all of them; nothing is drawn that the table
/// below does not have. Non-goals: the page around them (html).
#pragma once

#include "limbeck/eval/report/tables.h"

#include <map>
#include <span>
#include <string>
#include <vector>

namespace limbeck {

struct Figure {
  std::string title;
  std::string caption;  ///< not escaped
  std::string svg;
  Table data;
};

/// Number of each method's colour and mark.
using MethodStyles = std::map<std::string, int64_t>;
MethodStyles method_styles(const Summary& summary);

/// Mean score of a group against bytes (with the Pareto front), against seconds of compaction,
/// against the footprint; quantiles of the KL divergence against bytes. Those without a point are
/// left out.
std::vector<Figure> group_figures(const Summary& summary, const GroupKey& key,
                                  const MethodStyles& styles);

/// One heat map of depth by length for each grid.
std::vector<Figure> needle_figures(std::span<const NeedleGrid> grids);

/// Two heat maps, mean and spread over documents, of the kept entries of each head as a share of
/// the document's mean over heads, for each method at one budget of `heads`: the one that most
/// methods have, of those the smallest. Throws InvalidArgument when a method has heads of several
/// shapes.
std::vector<Figure> head_figures(std::span<const HeadsRow> heads);

/// Entries held over time, a figure for each length: the first document of which most methods have
/// a timeline, at one budget chosen as above, with the full cache. None without timelines.
std::vector<Figure> timeline_figures(std::span<const HeadsRow> heads, const MethodStyles& styles);

}  // namespace limbeck
