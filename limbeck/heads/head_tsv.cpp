#include "limbeck/heads/head_tsv.h"

#include "limbeck/base/error.h"
#include "limbeck/io/quote.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace limbeck {
namespace {

double gate(std::string_view cell, std::string_view what, int64_t row, int64_t column) {
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc() || end != cell.data() + cell.size() || !std::isfinite(value))
    throw FormatError("{}: row {}, column {} must be a finite number; found {}", what, row, column,
                      quote(cell));
  if (!(value >= -0.01 && value <= 1.01))
    throw FormatError("{}: row {}, column {} must be a gate in [-0.01, 1.01]; found {}", what, row,
                      column, value);
  return std::clamp(value, 0.0, 1.0);
}

std::vector<double> row_of(std::string_view line, std::string_view what, int64_t row) {
  std::vector<double> out;
  while (true) {
    const size_t tab = line.find('\t');
    out.push_back(gate(line.substr(0, tab), what, row, static_cast<int64_t>(out.size())));
    if (tab == std::string_view::npos) return out;
    line.remove_prefix(tab + 1);
  }
}

}  // namespace

HeadTable parse_head_tsv(std::string_view text, std::string_view what, int64_t layers,
                         int64_t kv_heads, bool group_max) {
  HeadTable t{"gates", "", {}, {}, layers, kv_heads, {}};
  int64_t row = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t") == std::string_view::npos || line.front() == '#') continue;
    const std::vector<double> values = row_of(line, what, row);
    const auto columns = static_cast<int64_t>(values.size());
    const bool grouped = group_max && columns > kv_heads && columns % kv_heads == 0;
    if (columns != kv_heads && !grouped)
      throw FormatError("{}: row {} must have {} columns, one a KV head; found {}{}", what, row,
                        kv_heads, columns,
                        columns % kv_heads == 0 ? " (one a query head? reduce groups by max)" : "");
    const int64_t group = columns / kv_heads;
    for (int64_t h = 0; h < kv_heads; ++h)
      t.values.push_back(
          *std::max_element(values.begin() + h * group, values.begin() + (h + 1) * group));
    ++row;
  }
  if (row != layers)
    throw FormatError("{}: the table must have {} rows, one a layer; found {}", what, layers, row);
  if (std::all_of(t.values.begin(), t.values.end(), [](double v) { return v == 0 || v == 1; }))
    t.kind = "binary";
  return t;
}

std::string head_table_tsv(const HeadTable& t) {
  std::string out;
  for (int64_t l = 0; l < t.layers; ++l)
    for (int64_t h = 0; h < t.kv_heads; ++h)
      out += fmt::format("{}{}", t.at(l, h), h + 1 < t.kv_heads ? '\t' : '\n');
  return out;
}

}  // namespace limbeck
