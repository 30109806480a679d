#include "limbeck/eval/report/markdown.h"

#include "limbeck/eval/report/escape.h"

namespace limbeck {

std::string table_markdown(const Table& table) {
  std::string out = "### " + escape_markdown(table.title) + "\n\n|";
  for (const std::string& column : table.columns) out += " " + escape_markdown(column) + " |";
  out += "\n|";
  for (size_t i = 0; i < table.columns.size(); ++i) out += i < table.text_columns ? "---|" : "--:|";
  out += "\n";
  for (const auto& row : table.rows) {
    out += "|";
    for (const TableCell& cell : row) {
      const std::string text = escape_markdown(cell.text);
      out += cell.bold ? " **" + text + "** |" : " " + text + " |";
    }
    out += "\n";
  }
  out += "\n";
  for (const std::string& note : table.notes) out += "- " + escape_markdown(note) + "\n";
  return out;
}

std::string summary_markdown(const Summary& summary, std::span<const std::string> remarks) {
  std::string out =
      "# Results\n\nScores in %, with 95 % intervals over documents. Bold: the best at its budget, "
      "where its interval excludes the next. Seconds: median of a compaction.\n\n";
  for (const std::string& remark : remarks) out += "**" + escape_markdown(remark) + "**\n\n";
  for (const GroupKey& key : group_keys(summary)) {
    out += table_markdown(group_table(summary, key)) + "\n";
    for (const Table& table : detail_tables(summary, key)) out += table_markdown(table) + "\n";
  }
  if (!summary.needles.empty()) out += table_markdown(needle_table(summary.needles)) + "\n";
  return out;
}

}  // namespace limbeck
