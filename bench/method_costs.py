"""What every method costs on Qwen3-0.6B's shape with random weights: seconds, bytes, high-water mark.

    python3 bench/method_costs.py --output costs.jsonl [--tokens 8192] [--ratios 0.1] [--methods a,b]

One process a method (build/release/method_bench), which reads the context once for all ratios; a line of JSON
a ratio. A run that is stopped goes on with the method where it was. Lines of other lengths, layers, threads or types stay in the file
and are measured anew. Without --methods all presets of `limbeck methods` are run. A method that fails leaves
a line with its error and is tried again by the next run. --table prints what the file holds as Markdown; what a
model of all 28 layers pays comes from results of one and of two layers ((1): of one layer alone).
"""
import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

SETTING = ("tokens", "dtype", "vocabulary", "threads")
KEY = ("method", "ratio", "layers") + SETTING
MODEL_LAYERS = 28  # of Qwen3-0.6B


def read_lines(path):
    """Results so far; a last line that was cut off counts as none."""
    lines = []
    if path.exists():
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:
                continue
    return lines


def key_of(line):
    return tuple(line.get(name) for name in KEY)


def all_methods(limbeck):
    done = subprocess.run([limbeck, "methods", "--json"], capture_output=True, text=True, check=True)
    return [method["name"] for method in json.loads(done.stdout)["methods"]]


def measure(args, method, ratios):
    """One line a ratio, each with its results or with what went wrong."""
    command = [args.tool, "--method", method, "--ratios", ",".join(map(str, ratios)), "--tokens", str(args.tokens),
               "--layers", str(args.layers), "--vocabulary", str(args.vocabulary), "--dtype", args.dtype,
               "--threads", str(args.threads)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        output, errors = process.communicate(timeout=args.timeout or None)
        wrong = errors.strip() or f"exit code {process.returncode}"
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        wrong = f"no result within {args.timeout:g} seconds"
    results = [json.loads(line) for line in output.splitlines()]
    return results + [{"error": wrong}] * (len(ratios) - len(results))


def of_the_model(lines):
    """Lines of one setting by method and ratio, with the share of the prefill that a model of all layers pays.

    Prefill and scoring run layer by layer, but a pass over the text for its queries spares the last layer's
    attention. With results of one and of two layers the second one is what each further layer adds; with one
    number of layers alone the share is what was measured.
    """
    prefill = {n: statistics.median([x["prefill_seconds"] for x in lines if x["layers"] == n]) for n in {x["layers"] for x in lines}}
    cells = {}
    for line in lines:
        cells.setdefault((line["method"], line["ratio"]), {})[line["layers"]] = line
    out = {}
    for key, by_layers in cells.items():
        line = by_layers[max(by_layers)]
        share, exact = line["times_the_prefill"], False
        if 1 in by_layers and 2 in by_layers:
            first = by_layers[1]["compaction_seconds"]
            added = by_layers[2]["compaction_seconds"] - first
            share = (first + (MODEL_LAYERS - 1) * added) / (
                prefill[1] + (MODEL_LAYERS - 1) * (prefill[2] - prefill[1]))
            exact = True
        out.setdefault(key[0], {})[key[1]] = {**line, "share": share, "of_all_layers": exact}
    return out


def pivot(title, methods, ratios, cell):
    """Methods by ratios; methods in the order of what they take."""
    out = [f"| {title} | " + " | ".join(f"{ratio:g}" for ratio in ratios) + " |", "|---" * (len(ratios) + 1) + "|"]
    for method, by_ratio in sorted(methods.items(), key=lambda x: statistics.median([line["share"] for line in x[1].values()])):
        out.append(f"| {method} | " + " | ".join(
            cell(by_ratio[ratio]) if ratio in by_ratio else "-" for ratio in ratios) + " |")
    return out


def table(lines):
    out, mib = [], 1 << 20
    lines = [line for line in lines if "error" not in line]
    for setting in sorted({tuple(line.get(name) for name in SETTING) for line in lines}):
        these = [line for line in lines if tuple(line.get(name) for name in SETTING) == setting]
        layers = sorted({line["layers"] for line in these})
        out += [f"{these[0]['tokens']:,} tokens, {these[0]['dtype']}, {these[0]['threads']} threads; layers run: "
                f"{', '.join(map(str, layers))}.", ""]
        methods, ratios = of_the_model(these), sorted({line["ratio"] for line in these}, reverse=True)
        out += pivot("times the prefill", methods, ratios,
                     lambda x: f"{x['share']:.3f}" + ("" if x["of_all_layers"] else " (1)" if x["layers"] == 1 else ""))
        out += [""]
        out += pivot("MiB a layer: after / high-water mark", methods, ratios,
                     lambda x: f"{x['bytes_after'] / mib / x['layers']:.1f} / {x['kv_bytes_peak'] / mib / x['layers']:.1f}")
        out += [""]
    return "\n".join(out).rstrip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="file of JSON lines")
    parser.add_argument("--tool", default="build/release/method_bench")
    parser.add_argument("--limbeck", default="build/release/limbeck", help="to list all methods")
    parser.add_argument("--methods", default="", help="comma-separated, as `limbeck eval` names them")
    parser.add_argument("--ratios", default="0.1")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--dtype", default="BF16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=0, help="seconds a method may take; 0 = any")
    parser.add_argument("--table", action="store_true", help="print the file as a table, measure nothing")
    args = parser.parse_args()
    lines = read_lines(args.output)
    if args.table:
        print(table(lines))
        return 0
    known = {key_of(line) for line in lines if "error" not in line}
    methods = args.methods.split(",") if args.methods else all_methods(args.limbeck)
    failed = 0
    for method in methods:
        wanted = [{"method": method, "tokens": args.tokens, "layers": args.layers, "dtype": args.dtype,
                   "vocabulary": args.vocabulary, "ratio": float(ratio), "threads": args.threads}
                  for ratio in args.ratios.split(",")]
        wanted = [line for line in wanted if key_of(line) not in known]
        if not wanted:
            continue
        for line, result in zip(wanted, measure(args, method, [line["ratio"] for line in wanted])):
            line = {**line, **result}
            with args.output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            failed += "error" in line
            said = line.get("error") or f"{line['compaction_seconds']:.2f} s, {line['times_the_prefill']:.3f} prefills"
            print(f"{method} at {line['ratio']:g}: {said}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
