"""What every method costs on Qwen3-0.6B's shape with random weights: seconds, bytes, high-water mark.

    python3 bench/method_costs.py --output costs.jsonl [--tokens 8192] [--ratios 0.1] [--methods a,b]

One process a method (build/release/method_bench), one line of JSON each, appended as soon as it is there: a
run that is stopped goes on where it was. Lines of other lengths, layers, threads or types stay in the file
and are measured anew. Without --methods all presets of `limbeck methods` are run. A method that fails leaves
a line with its error and is tried again by the next run. --table prints what the file holds as Markdown.
"""
import argparse
import json
import subprocess
import sys
from pathlib import Path

KEY = ("method", "tokens", "layers", "dtype", "vocabulary", "ratio", "threads")


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


def measure(args, method, ratio):
    command = [args.tool, "--method", method, "--ratio", str(ratio), "--tokens", str(args.tokens),
               "--layers", str(args.layers), "--vocabulary", str(args.vocabulary), "--dtype", args.dtype,
               "--threads", str(args.threads)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=args.timeout or None)
    except subprocess.TimeoutExpired:
        return {"error": f"no result within {args.timeout} seconds"}
    if done.returncode != 0:
        return {"error": done.stderr.strip() or f"exit code {done.returncode}"}
    return json.loads(done.stdout)


def table(lines):
    out = ["| method | tokens | layers | kept | compaction s | times the prefill | MiB before | after | high-water mark |",
           "|---|---|---|---|---|---|---|---|---|"]
    mib = 1 << 20
    for line in sorted((x for x in lines if "error" not in x),
                       key=lambda x: (x["tokens"], -x["ratio"], x["compaction_seconds"])):
        out.append(f"| {line['method']} | {line['tokens']:,} | {line['layers']} | {line['achieved_ratio']:.4f} "
                   f"| {line['compaction_seconds']:.2f} | {line['times_the_prefill']:.3f} "
                   f"| {line['bytes_before'] / mib:.1f} | {line['bytes_after'] / mib:.1f} "
                   f"| {line['kv_bytes_peak'] / mib:.1f} |")
    return "\n".join(out)


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
    for ratio in [float(r) for r in args.ratios.split(",")]:
        for method in methods:
            wanted = {"method": method, "tokens": args.tokens, "layers": args.layers, "dtype": args.dtype,
                      "vocabulary": args.vocabulary, "ratio": ratio, "threads": args.threads}
            if key_of(wanted) in known:
                continue
            line = {**wanted, **measure(args, method, ratio)}
            with args.output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            failed += "error" in line
            said = line.get("error") or f"{line['compaction_seconds']:.2f} s, {line['times_the_prefill']:.3f} prefills"
            print(f"{method} at {ratio:g}: {said}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
