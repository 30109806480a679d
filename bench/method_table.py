"""Writes the section "What wins where" of docs/methods.md from the result of an evaluation.

    limbeck eval --json --texts FOLDER --methods ... > result.json
    python3 bench/method_table.py result.json            # rewrites the section
    python3 bench/method_table.py result.json --check    # exit 1 when it says something else

The section stands between two comment lines, which a first run appends to the document. For every length
and ratio it names the method that moves the predictions least on answers and on the text's own
continuation (KL against the full cache), and the cheapest one within 10 % of each. Methods whose means
differ by less than both standard errors together share a place. Bounds ("full", "none") take no part.
"""
import argparse
import json
import sys
from pathlib import Path

BEGIN = "<!-- written by bench/method_table.py: begin -->"
END = "<!-- written by bench/method_table.py: end -->"
MEASURES = [("kl_answers", "answers"), ("kl_continuation", "continuation")]
NEAR = 1.10
BOUNDS = {"full", "none"}


class BadResult(Exception):
    """The file is not the result of an evaluation."""


def read_summary(path):
    """Rows of methods and the settings of the run."""
    try:
        result = json.loads(Path(path).read_text(encoding="utf-8"))
        rows = [row for row in result["summary"] if row["method"] not in BOUNDS]
        for row in rows:
            for key in ("length", "ratio", "contexts", "compaction_seconds"):
                float(row[key])
            for key, _ in MEASURES:
                float(row[key]["mean"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise BadResult(f"{path}: no result of limbeck eval --json ({error!r})") from error
    if not rows:
        raise BadResult(f"{path}: no method was measured")
    return rows, result.get("settings", {})


def error_of(row, key):
    value = row[key].get("standard_error")
    return value if isinstance(value, (int, float)) and value == value else 0.0


def best_of(rows, key):
    """The rows that share the first place, the one of the lowest mean first."""
    ranked = sorted(rows, key=lambda row: (row[key]["mean"], row["method"]))
    first = ranked[0]
    return [row for row in ranked
            if row is first
            or row[key]["mean"] - first[key]["mean"] <= error_of(row, key) + error_of(first, key)]


def cheapest_near(rows, key):
    """The fastest row within 10 % of the best mean."""
    limit = min(row[key]["mean"] for row in rows) * NEAR
    return min((row for row in rows if row[key]["mean"] <= limit),
               key=lambda row: (row["compaction_seconds"], row["method"]))


def seconds(value):
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def named(row, key):
    return f"{row['method']} ({row[key]['mean']:.4f}, {seconds(row['compaction_seconds'])})"


def winners_table(groups):
    lines = ["| tokens | kept | best on answers | best on continuation | cheapest within 10 %: answers | continuation |",
             "|---|---|---|---|---|---|"]
    for (length, ratio), rows in groups.items():
        cells = [" = ".join([named(best_of(rows, key)[0], key)] + [r["method"] for r in best_of(rows, key)[1:]])
                 for key, _ in MEASURES]
        cells += [named(cheapest_near(rows, key), key) for key, _ in MEASURES]
        lines.append(f"| {length:,} | {ratio:g} | " + " | ".join(cells) + " |")
    return lines


def costs_table(groups):
    """Median seconds of every method, by length: from the cheapest ratio to the dearest."""
    lengths = sorted({length for length, _ in groups})
    spent = {}
    for (length, _), rows in groups.items():
        for row in rows:
            spent.setdefault(row["method"], {}).setdefault(length, []).append(row["compaction_seconds"])
    lines = ["| method | " + " | ".join(f"{length:,} tokens" for length in lengths) + " |",
             "|---|" + "---|" * len(lengths)]

    def cell(values):
        if not values:
            return "-"
        low, high = seconds(min(values)), seconds(max(values))
        return low if low == high else f"{low} to {high}"

    for method in sorted(spent, key=lambda m: (min(min(v) for v in spent[m].values()), m)):
        lines.append(f"| {method} | " + " | ".join(cell(spent[method].get(length, [])) for length in lengths) + " |")
    return lines


def in_words(groups):
    """Who wins how often, for each measure."""
    lines = []
    for key, name in MEASURES:
        first, shared, cheap = {}, {}, {}
        for rows in groups.values():
            best = best_of(rows, key)
            first[best[0]["method"]] = first.get(best[0]["method"], 0) + 1
            for row in best[1:]:
                shared[row["method"]] = shared.get(row["method"], 0) + 1
            near = cheapest_near(rows, key)["method"]
            cheap[near] = cheap.get(near, 0) + 1

        def count(wins):
            order = sorted(wins, key=lambda m: (-wins[m], m))
            return ", ".join(f"{m} in {wins[m]}" for m in order)

        text = f"On {name} the best of {len(groups)} cases: {count(first)}."
        if shared:
            text += f" Not told apart from it by the standard errors: {count(shared)}."
        text += f" Cheapest within 10 % of the best: {count(cheap)}."
        lines.append(text)
    return lines


def section(rows, settings):
    groups = {}
    for row in rows:
        groups.setdefault((row["length"], row["ratio"]), []).append(row)
    groups = dict(sorted(groups.items(), key=lambda item: (item[0][0], -item[0][1])))
    contexts = sorted({row["contexts"] for row in rows})
    counted = f"{contexts[0]}" if len(contexts) == 1 else f"{contexts[0]} to {contexts[-1]}"
    methods = sorted({row["method"] for row in rows})
    model = settings.get("model")
    model = model.get("name") if isinstance(model, dict) else model
    about = f"{len(methods)} methods, {counted} contexts a case"
    if isinstance(model, str) and model:
        about = f"{model}, " + about
    threads = settings.get("threads")
    if isinstance(threads, int):
        about += f", {threads} thread{'' if threads == 1 else 's'}"
    lines = ["## What wins where", "",
             f"{about}. In brackets: KL against the full cache in nats per token, and the median seconds of a compaction.",
             "The question comes after compaction. Methods behind \"=\" differ from the first by less than both standard",
             "errors.", ""]
    lines += in_words(groups) + [""] + winners_table(groups) + ["", "What each costs, over the ratios:", ""]
    lines += costs_table(groups)
    return "\n".join([BEGIN] + lines + [END]) + "\n"


def put_into(document, text):
    """The document with the section replaced, or appended."""
    begin, end = document.find(BEGIN), document.find(END)
    if begin < 0 and end < 0:
        return document.rstrip("\n") + "\n\n" + text
    if begin < 0 or end < begin:
        raise BadResult("the document has only one of the two comment lines around the section")
    return document[:begin] + text + document[end + len(END):].lstrip("\n")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", help="JSON of limbeck eval")
    parser.add_argument("--docs", type=Path, default=Path("docs/methods.md"))
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the section differs")
    args = parser.parse_args(arguments)
    try:
        rows, settings = read_summary(args.result)
        old = args.docs.read_text(encoding="utf-8")
        new = put_into(old, section(rows, settings))
    except (BadResult, OSError) as error:
        print(f"method_table: {error}", file=sys.stderr)
        return 2
    if args.check:
        if old == new:
            return 0
        print(f"method_table: the section of {args.docs} is not what {args.result} says; run without --check",
              file=sys.stderr)
        return 1
    args.docs.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
