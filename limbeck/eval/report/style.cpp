#include "limbeck/eval/report/style.h"

#include "limbeck/eval/report/colours.h"

#include <fmt/format.h>

namespace limbeck {
namespace {

constexpr const char* kRules = R"css(
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px 20px 60px; max-width: 1120px; background: var(--page);
  color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 12px; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 40px 0 10px; padding-top: 10px; border-top: 1px solid var(--rule);
  overflow-wrap: anywhere; }
h3 { font-size: 16px; margin: 22px 0 6px; overflow-wrap: anywhere; }
a { color: var(--link); }
nav ul { columns: 3 240px; padding-left: 18px; margin: 8px 0; }
.remark { border-left: 4px solid var(--s1); padding: 6px 12px; background: var(--panel);
  font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 9px; text-align: right; border-bottom: 1px solid var(--rule);
  white-space: nowrap; unicode-bidi: isolate; }
th { border-bottom: 2px solid var(--soft); font-weight: 600; }
th.t, td.t { text-align: left; }
tr > :first-child { position: sticky; left: 0; background: var(--page); }
tbody tr:hover, tbody tr:hover > :first-child { background: var(--panel); }
.facts td { white-space: normal; overflow-wrap: anywhere; text-align: left; vertical-align: top; }
.facts td:first-child { white-space: nowrap; color: var(--soft); }
ul.notes { font-size: 13px; color: var(--soft); padding-left: 18px; margin: 8px 0; }
figure { margin: 6px 0 14px; }
figcaption { font-size: 13px; color: var(--soft); max-width: 760px; }
details { margin: 6px 0; }
summary { cursor: pointer; font-size: 13px; color: var(--link); }
.figures { display: flex; flex-wrap: wrap; gap: 4px 32px; }
.figures figure { max-width: 100%; }
pre { background: var(--panel); padding: 8px 10px; margin: 4px 0 10px; white-space: pre-wrap;
  overflow-wrap: anywhere; font: 12.5px/1.45 ui-monospace, "DejaVu Sans Mono", monospace;
  unicode-bidi: isolate; }
.failure { border: 1px solid var(--rule); border-radius: 6px; padding: 8px 14px; margin: 12px 0; }
.failure p { margin: 4px 0; font-size: 13px; overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; display: block;
  font-family: system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
svg text:not(.number) { fill: var(--ink); }
svg text.tick:not(.number) { font-size: 11px; fill: var(--soft); }
svg .title { font-size: 12px; }
svg .legend { font-size: 12px; }
svg .number { font-size: 11px; }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .axis { stroke: var(--soft); stroke-width: 1; }
svg .line { fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linejoin: round; }
svg .dashed { stroke-dasharray: 5 4; }
svg .whisker { stroke: currentColor; stroke-width: 1.2; opacity: .55; }
svg .mark { fill: currentColor; stroke: var(--page); stroke-width: 1; }
svg .mark.hollow { fill: var(--page); stroke: currentColor; stroke-width: 1.8; }
svg .front { fill: none; stroke: var(--ink); stroke-width: 7; opacity: .26;
  stroke-linejoin: round; }
svg .full { stroke: var(--ink); stroke-width: 1.6; }
svg .none { stroke: var(--ink); stroke-width: 1.4; stroke-dasharray: 2 4; }
svg .threshold { stroke: var(--soft); stroke-width: 1.2; stroke-dasharray: 8 4; }
svg .inner { fill: currentColor; opacity: .4; }
svg .outer { fill: currentColor; opacity: .18; }
svg .bar { shape-rendering: crispEdges; }
svg .cell { stroke: var(--page); stroke-width: 1; }
svg .missing { fill: none; stroke: var(--rule); stroke-width: 1; stroke-dasharray: 2 2; }
@media print { body { max-width: none; } figure, .failure { break-inside: avoid; } }
)css";

std::string variables(bool dark) {
  std::string out = dark ? "--page:#15181d;--ink:#e8eaee;--soft:#a9b0bb;--rule:#333a45;"
                           "--panel:#1f242c;--link:#8ab8ff;"
                         : "--page:#ffffff;--ink:#1b1f26;--soft:#5a6371;--rule:#dde1e7;"
                           "--panel:#f4f6f9;--link:#0b57b8;";
  for (int64_t i = 0; i < kHues; ++i)
    out += fmt::format("--s{}:{};", i, css_colour(series_colour(i, dark)));
  return out;
}

}  // namespace

std::string page_style() {
  std::string out = fmt::format(
      ":root{{color-scheme:light dark;{}}}\n"
      "@media (prefers-color-scheme: dark){{:root{{{}}}}}\n",
      variables(false), variables(true));
  for (int64_t i = 0; i < kHues; ++i) out += fmt::format(".s{0}{{color:var(--s{0})}}", i);
  return out + kRules;
}

}  // namespace limbeck
