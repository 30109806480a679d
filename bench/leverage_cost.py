"""Leverage scoring of a long context against the prefill of that context, in one run.

    python3 bench/leverage_cost.py [--tokens 32768] [--layers 2] [--runs 3] [--goal 0.02]

Qwen3-0.6B's shape (hidden 1024, 16 query heads, 8 KV heads of 128, feed-forward 3072) with random weights.
Prefill and scoring are both layer by layer, so fewer layers than the model's 28 give the same ratio, every
layer run in full; the output says how many were run. Prints one line of JSON a run and the median share; exit code 1 when it is
above the goal.
"""
import argparse
import json
import statistics
import subprocess
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", default="build/release/method_bench")
    parser.add_argument("--tokens", type=int, default=32768)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dtype", default="BF16")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--method", default="leverage")
    parser.add_argument("--goal", type=float, default=0.02)
    args = parser.parse_args()
    shares = []
    for _ in range(args.runs):
        done = subprocess.run([args.tool, "--method", args.method, "--tokens", str(args.tokens), "--layers",
                               str(args.layers), "--dtype", args.dtype, "--threads", str(args.threads)],
                              capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        result = json.loads(done.stdout)
        shares.append(result["seconds"]["scores"] / result["prefill_seconds"])
        print(json.dumps({"tokens": result["tokens"], "layers": result["layers"], "threads": result["threads"],
                          "dtype": result["dtype"], "prefill_seconds": result["prefill_seconds"],
                          "scoring_seconds": result["seconds"]["scores"], "share": shares[-1]}), flush=True)
    share = statistics.median(shares)
    print(f"{args.method} scoring takes {100 * share:.2f} % of the prefill of {args.tokens:,} tokens "
          f"({args.layers} of 28 layers run; the ratio is per layer), goal {100 * args.goal:g} %")
    return 0 if share <= args.goal else 1


if __name__ == "__main__":
    sys.exit(main())
