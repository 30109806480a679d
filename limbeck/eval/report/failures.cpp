#include "limbeck/eval/report/failures.h"

#include "limbeck/eval/report/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

namespace limbeck {
namespace {

using Question = std::tuple<std::string, int64_t, std::string, std::string, std::string>;
Question question_of(const SampleRow& r) { return {r.task, r.length, r.mode, r.doc_id, r.q_id}; }

/// Orders so that each key has its first one, then each its second, and so on; otherwise as before.
template <class Key>
void take_turns(std::vector<Failure>& list, Key&& key) {
  std::map<std::string, int64_t> turns;
  std::vector<std::pair<int64_t, Failure>> ranked;
  for (const Failure& f : list) ranked.emplace_back(turns[key(*f.row)]++, f);
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (size_t i = 0; i < list.size(); ++i) list[i] = ranked[i].second;
}

}  // namespace

std::vector<Failure> sample_failures(std::span<const SampleRow> rows, size_t most) {
  std::map<Question, const SampleRow*> full;
  for (const SampleRow& r : rows)
    if (r.method == kFullLabel) full[question_of(r)] = &r;
  std::vector<Failure> errors, answers;
  for (const CellRows& cell : cells_of(rows))
    for (const CellDocument& d : cell.documents)
      for (const SampleRow* r : d.rows) {
        const auto it = full.find(question_of(*r));
        const SampleRow* reference = it == full.end() || it->second == r ? nullptr : it->second;
        const bool lost =
            reference != nullptr && !is_floor(r->method) && reference->score - r->score >= 0.5;
        if (!r->error.empty())
          errors.push_back({r, reference});
        else if (lost)
          answers.push_back({r, reference});
      }
  for (std::vector<Failure>* list : {&errors, &answers}) {
    take_turns(*list, [](const SampleRow& r) {
      return fmt::format("{}|{}|{}|{}", r.task, r.length, r.method, r.budget);
    });
    take_turns(*list, [](const SampleRow& r) { return r.task + "|" + r.method; });
    take_turns(*list, [](const SampleRow& r) { return r.task; });
  }
  // Errors of one cause must not hide all answers.
  if (!answers.empty()) errors.resize(std::min(errors.size(), std::max<size_t>(most / 2, 1)));
  errors.insert(errors.end(), answers.begin(), answers.end());
  errors.resize(std::min(errors.size(), most));
  return errors;
}

}  // namespace limbeck
