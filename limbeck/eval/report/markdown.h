/// A run as Markdown: summary.md.
#pragma once

#include "limbeck/eval/report/tables.h"

#include <span>
#include <string>

namespace limbeck {

/// Title, table, notes. Every foreign text is escaped.
std::string table_markdown(const Table& table);

/// Scores and critical footprints of every group and length. `remarks` stand first: whatever a
/// reader must know, such as that seconds are invalid because other work ran on the machine.
std::string summary_markdown(const Summary& summary, std::span<const std::string> remarks = {});

}  // namespace limbeck
