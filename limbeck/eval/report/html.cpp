#include "limbeck/eval/report/html.h"

#include "limbeck/eval/report/escape.h"
#include "limbeck/eval/report/failures.h"
#include "limbeck/eval/report/style.h"

#include <fmt/format.h>

namespace limbeck {
namespace {

constexpr size_t kMostFailures = 12;
constexpr int64_t kMostCharacters = 700;  ///< of a model's answer
constexpr size_t kMostFacts = 400;        ///< rows of the manifest

/// "model.layers" and so on for the leaves of a document.
void add_facts(const nlohmann::ordered_json& j, const std::string& name, Table& out) {
  if (out.rows.size() >= kMostFacts) return;
  const bool leaf = !j.is_structured() || j.empty();
  if (leaf) {
    const std::string text = j.is_string()
                                 ? j.get<std::string>()
                                 : j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    out.rows.push_back({{name}, {clip_text(text, kMostCharacters)}});
    return;
  }
  if (j.is_array()) {
    size_t i = 0;
    for (const auto& value : j) add_facts(value, fmt::format("{}[{}]", name, i++), out);
    return;
  }
  for (const auto& [key, value] : j.items())
    add_facts(value, name.empty() ? key : name + "." + key, out);
}

std::string table_of(const Table& table, std::string_view css_class) {
  std::string out =
      fmt::format("<div class=\"scroll\"><table class=\"{}\">\n<thead><tr>", css_class);
  const auto cell = [&](const char* element, size_t column, const std::string& text,
                        const std::string& hint) {
    return fmt::format("<{0}{1}{2}>{3}</{0}>", element,
                       column < table.text_columns ? " class=\"t\"" : "",
                       hint.empty() ? "" : " title=\"" + escape_html(hint) + "\"", text);
  };
  for (size_t i = 0; i < table.columns.size(); ++i)
    out += cell("th", i, escape_html(table.columns[i]), "");
  out += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string text = escape_html(row[i].text);
      out += cell("td", i, row[i].bold ? "<b>" + text + "</b>" : text, row[i].hint);
    }
    out += "</tr>\n";
  }
  out += "</tbody></table></div>\n";
  if (table.notes.empty()) return out;
  out += "<ul class=\"notes\">";
  for (const std::string& note : table.notes) out += "<li>" + escape_html(note) + "</li>";
  return out + "</ul>\n";
}

std::string figure_html(const Figure& f) {
  return fmt::format(
      "<figure>\n<h3>{}</h3>\n<div class=\"scroll\">{}</div>\n<figcaption>{}</figcaption>\n"
      "<details><summary>Data of this figure</summary>\n{}</details>\n</figure>\n",
      escape_html(f.title), f.svg, escape_html(f.caption), table_of(f.data, "data"));
}

/// A part of the page, and its line in the list of contents.
struct Section {
  std::string title, body;
};

std::string figures_html(const std::vector<Figure>& figures) {
  std::string out = "<div class=\"figures\">\n";
  for (const Figure& f : figures) out += figure_html(f);
  return out + "</div>\n";
}

void add_groups(std::vector<Section>& out, const Summary& summary) {
  const MethodStyles styles = method_styles(summary);
  for (const GroupKey& key : group_keys(summary)) {
    std::string body = table_of(group_table(summary, key), "scores");
    body += figures_html(group_figures(summary, key, styles));
    for (const Table& table : detail_tables(summary, key))
      body += "<h3>" + escape_html(table.title) + "</h3>\n" + table_of(table, "scores");
    out.push_back({key.title(), std::move(body)});
  }
}

std::string answer_html(const char* name, const std::string& text) {
  return fmt::format("<p>{}</p><pre>{}</pre>\n", name,
                     text.empty() ? "(empty)" : escape_html(clip_text(text, kMostCharacters)));
}

std::string failures_html(std::span<const SampleRow> rows) {
  std::string out;
  for (const auto& [row, full] : sample_failures(rows, kMostFailures)) {
    std::string outputs;
    for (const std::string& text : row->outputs) outputs += (outputs.empty() ? "" : "\n") + text;
    std::string method = method_title(row->method);
    if (!is_bound(row->method)) method += " at " + budget_text(row->budget);
    out += fmt::format(
        "<div class=\"failure\"><p><b>{}</b>, document {}, question {}; {}; score {}{}</p>\n",
        escape_html(row->task), escape_html(row->doc_id), escape_html(row->q_id),
        escape_html(method), percent_text(row->score),
        full == nullptr ? "" : fmt::format(", full cache {}", percent_text(full->score)));
    if (!row->error.empty()) out += answer_html("Error", row->error);
    out += answer_html("Expected", outputs);
    if (row->error.empty()) out += answer_html("Answer", row->prediction);
    if (full != nullptr) out += answer_html("Answer from the full cache", full->prediction);
    out += "</div>\n";
  }
  return out;
}

std::string facts_html(const nlohmann::ordered_json& manifest) {
  Table facts;
  facts.columns = {"fact", "value"};
  facts.text_columns = 2;
  if (!manifest.is_null()) add_facts(manifest, "", facts);
  if (facts.rows.empty()) return "";
  if (facts.rows.size() >= kMostFacts) facts.notes = {"Further facts are in manifest.json."};
  return "<details><summary>What was run</summary>\n" + table_of(facts, "facts") + "</details>\n";
}

std::string overview_html(const ReportInput& input, const Summary& summary) {
  std::string out;
  for (const std::string& remark : input.remarks)
    out += "<p class=\"remark\">" + escape_html(remark) + "</p>\n";
  out += fmt::format(
      "<p>{} answers in {} cells. Scores in %, with 95 % intervals from {} bootstrap resamples of "
      "documents. Bold: the best at its budget, where its interval excludes the next. Seconds: "
      "median of a compaction.</p>\n",
      input.rows.size(), summary.cells.size(), kResamples);
  return out + facts_html(input.manifest);
}

}  // namespace

std::string table_html(const Table& table) { return table_of(table, "scores"); }

std::string report_html(const ReportInput& input) {
  const Summary summary = summarise_samples(input.rows, input.options);
  std::vector<Section> sections;
  add_groups(sections, summary);
  if (const auto figures = needle_figures(summary.needles); !figures.empty())
    sections.push_back({"Needles by depth and length", figures_html(figures)});
  if (const auto figures = timeline_figures(input.heads, method_styles(summary)); !figures.empty())
    sections.push_back({"Entries held over time", figures_html(figures)});
  if (const auto figures = head_figures(input.heads); !figures.empty())
    sections.push_back({"Budgets of heads", figures_html(figures)});
  if (std::string failures = failures_html(input.rows); !failures.empty())
    sections.push_back({"Samples of failures", std::move(failures)});

  std::string contents, body;
  for (size_t i = 0; i < sections.size(); ++i) {
    const std::string title = escape_html(sections[i].title);
    contents += fmt::format("<li><a href=\"#part-{}\">{}</a></li>\n", i, title);
    body += fmt::format("<section>\n<h2 id=\"part-{}\">{}</h2>\n{}</section>\n", i, title,
                        sections[i].body);
  }
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{0}</title>\n<style>\n{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n{2}"
      "<nav><ul>\n{3}</ul></nav>\n{4}</body>\n</html>\n",
      escape_html(input.title), page_style(), overview_html(input, summary), contents, body);
}

}  // namespace limbeck
