/// Append-only record of a run, so that one that was killed goes on where it stopped.
///
/// JSON lines: a header {"limbeck_eval": 1, "settings": {...}}, then one row a line. Rows are
/// synced to disk one by one. Goals: no measured row is lost, none is measured under other
/// settings. Non-goals: several writers (the file is locked).
#pragma once

#include "limbeck/eval/eval_row.h"
#include "limbeck/io/append_file.h"

#include <filesystem>
#include <string>
#include <vector>

namespace limbeck {

class EvalLog {
 public:
  /// Opens or creates the file and reads its rows; a last line that was cut off is removed. Throws
  /// Mismatch when the header's settings differ (naming the first that does), FormatError when the
  /// file is no such record (naming the line), ResourceError when it cannot be opened or another
  /// run holds it.
  EvalLog(const std::filesystem::path& path, const nlohmann::ordered_json& settings);

  const std::vector<EvalRow>& rows() const { return rows_; }
  /// On disk when it returns; on an error the file holds what it held before.
  void append(EvalRow row);

 private:
  void read(const std::string& header);

  AppendFile file_;
  std::vector<EvalRow> rows_;
};

}  // namespace limbeck
