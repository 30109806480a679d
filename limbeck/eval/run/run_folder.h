/// The folder of a task run: its manifest, its record, its reports.
///
/// Non-goals: running anything (task_run.h).
#pragma once

#include "limbeck/eval/report/summary.h"
#include "limbeck/eval/run/sample_log.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <vector>

namespace limbeck {

/// Adds "manifest_id": SHA-256 of the canonical JSON (sorted keys, no white space) of everything
/// but "run", which has time, host and shard.
void seal_manifest(nlohmann::ordered_json& manifest);

/// Writes manifest.json, or checks that the one that is there has the same id. Throws Mismatch
/// naming the first field that differs or another shard, ResourceError, FormatError.
void begin_run(const std::filesystem::path& folder, const nlohmann::ordered_json& manifest);

/// Removes the files of a run from a folder, and nothing else. ResourceError while a run that is
/// going on holds its record.
void forget_run(const std::filesystem::path& folder);

/// Notes in the manifest that the shard is whole, how many units it has, and what was not run.
void end_run(const std::filesystem::path& folder, int64_t units,
             const std::vector<std::string>& skipped = {});

/// Throws ResourceError or FormatError naming the file.
nlohmann::ordered_json read_manifest(const std::filesystem::path& folder);

/// Whole units of a folder, by key.
std::map<SampleKey, SampleUnit> read_units(const std::filesystem::path& folder);

/// Rows of all units, by key.
std::vector<SampleRow> rows_of(const std::map<SampleKey, SampleUnit>& units);

/// How the run's own reports were made.
SummaryOptions summary_options(const std::filesystem::path& folder);
/// Writes heads.jsonl, summary.json, summary.md and report.html of the whole units in a folder.
/// Throws InvalidArgument for options out of range.
void write_reports(const std::filesystem::path& folder, const SummaryOptions& options = {});

/// Joins the folders of all shards of one run into `out` and writes its reports. Throws Mismatch
/// when manifests differ or `out` holds other units of the run, InvalidArgument when units overlap,
/// a shard is missing, or a shard has not come to its end.
void merge_runs(const std::vector<std::filesystem::path>& folders,
                const std::filesystem::path& out);

/// Joins finished runs of the same documents with other methods, ratios or commits into `out` and
/// writes its reports, so that a method can be added to a table without running the others again.
/// Where two have the same method and ratio the later folder's counts; a method of the same label
/// with other options is replaced as a whole. The manifest lists the runs as "parts". Throws
/// Mismatch when anything else of the manifests differs (build options and torch included), or the
/// documents, or the answers of the full cache, or when `out` holds other units; InvalidArgument
/// for a shard, a run that has not come to its end, and one that would replace a method and has not
/// run all that it replaces.
void join_methods(const std::vector<std::filesystem::path>& folders,
                  const std::filesystem::path& out);

}  // namespace limbeck
