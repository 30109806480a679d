/// samples.jsonl: the record of a task run, unit by unit.
///
/// A unit is (task, length, document, method, budget). Its samples and a line {"done": ...} with
/// the heads' budgets are appended in one go, so that a run that was killed goes on with the first
/// unit that has no such line and repeats none. Non-goals: several writers.
#pragma once

#include "limbeck/eval/report/sample_row.h"
#include "limbeck/io/append_file.h"

#include <compare>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace limbeck {

struct SampleKey {
  std::string task;
  int64_t length = 0;
  std::string document, method;
  double budget = 1.0;
  auto operator<=>(const SampleKey&) const = default;
};

struct SampleUnit {
  std::vector<SampleRow> rows;  ///< one a question
  HeadsRow heads;
};

/// Reads a record: whole units only. `good` gets the bytes up to the last of them. `name` stands
/// for the file in errors. Throws FormatError naming the line, Mismatch for another manifest.
std::map<SampleKey, SampleUnit> read_samples(std::string_view text, const std::string& name,
                                             const std::string& manifest_id, int64_t& good);

class SampleLog {
 public:
  /// Opens or creates the record and reads its units; what is behind the last whole unit is
  /// removed. Throws what AppendFile and read_samples throw.
  SampleLog(const std::filesystem::path& path, std::string manifest_id);

  bool has(const SampleKey& key) const { return units_.contains(key); }
  const std::map<SampleKey, SampleUnit>& units() const { return units_; }
  /// On disk when it returns.
  void append(const SampleKey& key, SampleUnit unit);

 private:
  AppendFile file_;
  std::string manifest_id_;
  std::map<SampleKey, SampleUnit> units_;
};

}  // namespace limbeck
