#include "limbeck/eval/report/cells.h"

#include "limbeck/base/error.h"
#include "limbeck/io/quote.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

namespace limbeck {
namespace {

auto row_order(const SampleRow& r) {
  return std::tie(r.task, r.length, r.ordinal, r.doc_id, r.method, r.budget, r.mode, r.q_id);
}

}  // namespace

std::string CellKey::text() const {
  return fmt::format("{}|{}|{}|{}|{}", task, length, mode, method, budget);
}

int64_t CellRows::questions() const {
  int64_t n = 0;
  for (const CellDocument& d : documents) n += static_cast<int64_t>(d.rows.size());
  return n;
}

std::vector<CellRows> cells_of(std::span<const SampleRow> rows) {
  std::vector<const SampleRow*> sorted;
  for (const SampleRow& r : rows) {
    if (!std::isfinite(r.budget))
      throw InvalidArgument("[summary] budget must be a number; found {} in task {}", r.budget,
                            quote(r.task));
    sorted.push_back(&r);
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const SampleRow* a, const SampleRow* b) { return row_order(*a) < row_order(*b); });
  std::vector<CellRows> out;
  std::map<CellKey, size_t> places;
  std::set<std::pair<size_t, std::string>> seen;
  for (const SampleRow* r : sorted) {
    const CellKey key{r->task, r->length, r->mode, r->method, r->budget};
    const auto [at, is_new] = places.emplace(key, out.size());
    if (is_new) out.push_back({key, r->group, r->category, {}});
    std::vector<CellDocument>& documents = out[at->second].documents;
    if (documents.empty() || documents.back().id != r->doc_id) {
      if (!seen.emplace(at->second, r->doc_id).second)
        throw InvalidArgument("[summary] a document must have one ordinal; found several for {}",
                              quote(r->doc_id));
      documents.push_back({r->doc_id, {}});
    }
    std::vector<const SampleRow*>& of_document = documents.back().rows;
    if (!of_document.empty() && of_document.back()->q_id == r->q_id)
      throw InvalidArgument(
          "[summary] a question may appear once in a cell; found {} {} twice in "
          "{}",
          quote(r->doc_id), quote(r->q_id), quote(key.text()));
    of_document.push_back(r);
  }
  return out;
}

std::vector<double> document_scores(const CellRows& cell) {
  std::vector<double> out;
  for (const CellDocument& d : cell.documents) {
    double sum = 0;
    for (const SampleRow* r : d.rows) sum += r->score;
    out.push_back(sum / static_cast<double>(d.rows.size()));
  }
  return out;
}

std::vector<double> PairedScores::differences() const {
  std::vector<double> out;
  for (size_t i = 0; i < first.size(); ++i) out.push_back(second[i] - first[i]);
  return out;
}

namespace {

/// Whether two rows of one number ask the same. Versions that did not record a field leave it
/// empty.
bool asks_the_same(const SampleRow& a, const SampleRow& b) {
  const auto agree = [](const std::string& x, const std::string& y) {
    return x.empty() || y.empty() || x == y;
  };
  return a.outputs == b.outputs && agree(a.question, b.question) && agree(a.source, b.source);
}

}  // namespace

PairedScores paired_scores(const CellRows& first, const CellRows& second) {
  std::map<std::pair<std::string, std::string>, const SampleRow*> known;
  for (const CellDocument& d : first.documents)
    for (const SampleRow* r : d.rows) known[{d.id, r->q_id}] = r;
  PairedScores out;
  for (const CellDocument& d : second.documents) {
    double a = 0, b = 0, n = 0;
    for (const SampleRow* r : d.rows) {
      const auto it = known.find({d.id, r->q_id});
      if (it == known.end()) continue;
      if (!asks_the_same(*it->second, *r)) {
        ++out.others;
        continue;
      }
      a += it->second->score;
      b += r->score;
      ++n;
    }
    if (n == 0) continue;
    out.first.push_back(a / n);
    out.second.push_back(b / n);
    out.questions += static_cast<int64_t>(n);
  }
  return out;
}

}  // namespace limbeck
