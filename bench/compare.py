#!/usr/bin/env python3
"""limbeck beside transformers: prefill and decoding of one model on one machine in one go.

usage: compare.py [--model NAME_OR_PATH] [--text FILE] [--lengths 1024,4096,8064] [--repeats 4]
                  [--generate 32] [--rounds 2] [--threads N] [--out FILE]

The two programs run one after the other, never at the same time, in alternating rounds; samples of all
rounds are pooled, and a round that is off shows in the column "drift". Prints Markdown and writes JSON.
Without transformers its columns stay empty, and the output says why.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--text", default=ROOT / "assets" / "demo" / "story.txt", type=pathlib.Path)
    parser.add_argument("--lengths", default="1024,4096,8064")
    parser.add_argument("--repeats", default=4, type=int, help="runs of every case in a round")
    parser.add_argument("--generate", default=32, type=int)
    parser.add_argument("--rounds", default=2, type=int)
    parser.add_argument("--threads", default=0, type=int, help="0 = one per processor")
    parser.add_argument("--peer-dtype", default="bf16", choices=["bf16", "f32"],
                        help="of transformers; without AVX-512 it is several times as fast in f32")
    parser.add_argument("--build", default=ROOT / "build" / "release", type=pathlib.Path)
    parser.add_argument("--python", default=default_python(), help="that has torch and transformers")
    parser.add_argument("--out", default=ROOT / "build" / "bench" / "compare.json", type=pathlib.Path)
    return parser.parse_args()


def default_python():
    own = ROOT / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def run_json(command):
    """The JSON document that a program prints; its progress goes to our standard error."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def run_rounds(args):
    shared = ["--text", args.text, "--repeats", args.repeats, "--generate", args.generate,
              "--threads", args.threads]
    have = subprocess.run([args.python, "-c", "import torch, transformers, gguf"],
                          capture_output=True, text=True)
    if have.returncode != 0:
        last = (have.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"compare: transformers is left out: {last}", file=sys.stderr)
    ours, theirs = [], []
    for i in range(args.rounds):
        print(f"compare: round {i + 1} of {args.rounds}", file=sys.stderr)
        ours.append(run_json([args.build / "engine_bench", "--json", "--model", args.model,
                              "--lengths", args.lengths, *shared]))
        if have.returncode == 0:
            lengths = ",".join(str(n) for n in ours[-1]["lengths"])
            theirs.append(run_json([args.python, ROOT / "bench" / "transformers_bench.py", "--model",
                                    ours[-1]["model_path"], "--lengths", lengths, "--dtype",
                                    args.peer_dtype, *shared]))
    return ours, theirs


def pooled(rounds, table, units, keys):
    """Rows with equal values of `keys` joined over the rounds, in order of first appearance.

    units(row) is how many tokens one sample stands for.
    """
    groups = {}
    for result in rounds:
        for row in result[table]:
            groups.setdefault(tuple(row.get(k) for k in keys), []).append(row)
    out = []
    for rows in groups.values():
        seconds = [s for row in rows for s in row["samples"]]
        median = statistics.median(seconds)
        medians = [statistics.median(row["samples"]) for row in rows]
        row = {k: v for k, v in rows[0].items()
               if k not in ("samples", "seconds") and not k.startswith("limit_")}
        row["tokens_per_second"] = units(row) / median
        row["seconds"] = {"median": median, "mad": statistics.median(abs(s - median) for s in seconds),
                          "min": min(seconds), "samples": len(seconds), "round_medians": medians}
        row["drift"] = max(medians) / min(medians) - 1
        out.append(row)
    return out


def pool(ours, theirs, dtype_ratio):
    bandwidth = max(r["read_bandwidth"] for r in ours)
    result = {"read_bandwidth": bandwidth, "limbeck": {}, "transformers": {}}
    for name, rounds in (("limbeck", ours), ("transformers", theirs)):
        result[name]["prefill"] = pooled(rounds, "prefill", lambda r: r["tokens"], ("tokens", "chunk"))
        result[name]["decode"] = pooled(rounds, "decode", lambda r: 1, ("tokens", "cache"))
    bytes_of = {}
    for row in result["limbeck"]["decode"]:
        if row["cache"] == "full":
            bytes_of[row["tokens"]] = row["bytes_per_token"]
        add_limit(row, bandwidth)
    # The same weights and the same full cache: the same bytes for both, in the same dtype.
    for row in result["transformers"]["decode"]:
        row["bytes_per_token"] = bytes_of[row["tokens"]] * dtype_ratio
        add_limit(row, bandwidth)
    return result


def add_limit(row, bandwidth):
    row["limit_tokens_per_second"] = bandwidth / row["bytes_per_token"]
    row["limit_fraction"] = row["tokens_per_second"] / row["limit_tokens_per_second"]


def git(*words):
    done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def cpu_name():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def conditions(args, ours, theirs):
    first = ours[0]
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": git("rev-parse", "HEAD") or "unknown",
        "uncommitted_changes": bool(git("status", "--porcelain")),
        "cpu": cpu_name(),
        "processors": os.cpu_count(),
        "threads": first["threads"],
        "kernel_path": first["kernel_path"],
        "torch": {"limbeck": first["torch"]} | ({"transformers": theirs[0]["torch"]} if theirs else {}),
        "transformers": theirs[0]["transformers"] if theirs else None,
        "attention": theirs[0]["attention"] if theirs else None,
        "last_logits_only": theirs[0]["last_logits_only"] if theirs else None,
        "transformers_threads": theirs[0]["threads"] if theirs else None,
        "model": first["model"],
        "dtype": first["dtype"],
        "transformers_dtype": args.peer_dtype,
        "ratio": first["ratio"],
        "generate": args.generate,
        "rounds": args.rounds,
        "repeats_per_round": args.repeats,
        "read_bandwidth_rounds": [r["read_bandwidth"] for r in ours],
        "read_bandwidth_weights_size": max(r["read_bandwidth_weights_size"] for r in ours),
        "weight_bytes_per_token": first["weight_bytes_per_token"],
    }


def percent(x):
    return f"{100 * x:.0f} %"


def print_table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def print_prefill(result):
    theirs = {r["tokens"]: r for r in result["transformers"]["prefill"]}
    # The default chunk is the first one measured; the best of all is shown beside it.
    by_length = {}
    for row in result["limbeck"]["prefill"]:
        by_length.setdefault(row["tokens"], []).append(row)
    rows = []
    for n, choices in by_length.items():
        best = max(choices, key=lambda r: r["tokens_per_second"])
        other = theirs.get(n)
        rows.append([
            str(n),
            f"{choices[0]['tokens_per_second']:.0f} ({choices[0]['chunk']})",
            f"{best['tokens_per_second']:.0f} ({best['chunk']})",
            f"{other['tokens_per_second']:.0f}" if other else "-",
            f"{choices[0]['tokens_per_second'] / other['tokens_per_second']:.2f}" if other else "-",
            f"{best['tokens_per_second'] / other['tokens_per_second']:.2f}" if other else "-",
            percent(choices[0]["drift"]) + " / " + (percent(other["drift"]) if other else "-")])
    print_table(["prefill tokens", "limbeck tokens/s (default chunk)", "best chunk", "transformers",
                 "ratio", "ratio, best chunk", "drift"], rows)


def print_decode(result):
    theirs = {r["tokens"]: r for r in result["transformers"]["decode"]}
    rows = []
    for row in result["limbeck"]["decode"]:
        # A compacted cache stands against what transformers does with the whole text of that length.
        other = theirs.get(row["tokens"])
        full = row["cache"] == "full" and other is not None
        rows.append([
            str(row["tokens"]), row["cache"], f"{row['mean_slots']:.0f}",
            f"{row['tokens_per_second']:.1f}",
            f"{other['tokens_per_second']:.1f}" if other else "-",
            f"{row['tokens_per_second'] / other['tokens_per_second']:.2f}" if other else "-",
            f"{row['bytes_per_token'] / 1e6:.0f}", f"{row['limit_tokens_per_second']:.1f}",
            percent(row["limit_fraction"]), percent(other["limit_fraction"]) if full else "-",
            percent(row["drift"]) + " / " + (percent(other["drift"]) if other else "-"),
            agreement(row["generated"], other["generated"]) if full else "-"])
    print_table(["decode at", "limbeck's cache", "slots", "limbeck tokens/s", "transformers, full cache",
                 "ratio", "MB/token", "byte limit tokens/s", "limbeck of limit",
                 "transformers of limit", "drift", "same first tokens"], rows)


def agreement(a, b):
    """How far two greedy generations agree: whether both programs did the same work."""
    same = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return f"{same} of {len(a)}"


def print_report(result):
    c = result["conditions"]
    commit = c["commit"][:12] + (" with uncommitted changes" if c["uncommitted_changes"] else "")
    print(f"{c['model']} {c['dtype']}, {c['cpu']}, {c['threads']} threads, kernels {c['kernel_path']}, "
          f"torch {c['torch']['limbeck']}, transformers "
          + (f"{c['transformers']} in {c['transformers_dtype']}" if c["transformers"] else "absent") + ", "
          f"commit {commit}, {c['date']}")
    print(f"Read bandwidth {result['read_bandwidth'] / 1e9:.1f} GB/s "
          f"({c['read_bandwidth_weights_size'] / 1e9:.1f} GB/s from a buffer of the weights' size); "
          f"medians over {c['rounds']} rounds; drift = slowest round / fastest - 1, "
          f"limbeck / transformers; caches compacted to {percent(c['ratio'])}.\n")
    print_prefill(result)
    print_decode(result)


def main():
    args = parse_args()
    ours, theirs = run_rounds(args)
    result = pool(ours, theirs, 2 if args.peer_dtype == "f32" else 1)
    result = {"conditions": conditions(args, ours, theirs)} | result
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print_report(result)
    print(f"compare: wrote {os.path.relpath(args.out)}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except FileNotFoundError as error:
        sys.exit(f"compare: {error.filename} is not there; `make bench` builds and runs everything")
    except subprocess.CalledProcessError as error:
        sys.exit(f"compare: {pathlib.Path(error.cmd[0]).name} failed with status {error.returncode}")
