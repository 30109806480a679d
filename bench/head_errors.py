"""Which choice of slots leaves the smallest error, head by head.

Runs `limbeck compact` with uniform budgets and the same fit behind three selectors (weighted pivoted
Cholesky, orthogonal matching pursuit on the mass, highest root-mean-square attention) and compares the
errors on reference rows that took no part in the fits. Prints a table and the shares of heads in which
one selector is at least as good as the next.

    python3 bench/head_errors.py --text FILE [--limbeck PATH] [--ratios 0.1,0.05,0.02] [--characters 4200]
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

SELECTORS = [
    ("wpc", ["--method", "wpc", "--allocator", "uniform"]),
    ("omp", ["--method", "am-omp-gram", "--builder", "fit"]),
    ("hak", ["--method", "am-hak", "--builder", "fit"]),
]


def run(args, ratio, selector, folder):
    command = [args.limbeck, "compact", "--json", "-f", os.path.join(folder, "text.txt")]
    command += ["--ratio", str(ratio), "-o", os.path.join(folder, f"{selector[1]}-{ratio}.kvc")] + selector
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    errors = json.loads(done.stdout)["head_errors"]
    if not all(e["held_out"] for e in errors):
        sys.exit(f"{selector[0]}: errors are not on held-out rows")
    return {(e["layer"], e["head"]): (e["output"], e["mass"]) for e in errors}


def share(a, b, which):
    keys = sorted(set(a) & set(b))
    return 100.0 * sum(a[k][which] <= b[k][which] for k in keys) / len(keys)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True)
    parser.add_argument("--limbeck", default="build/release/limbeck")
    parser.add_argument("--ratios", default="0.1,0.05,0.02")
    parser.add_argument("--characters", type=int, default=4200, help="of the text, from its start")
    args = parser.parse_args()
    print("| kept | selector | median output error | median mass error | heads |")
    print("|---|---|---|---|---|")
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        with open(args.text, encoding="utf-8") as text, open(os.path.join(folder, "text.txt"), "w") as cut:
            cut.write(text.read(args.characters))
        for ratio in [float(r) for r in args.ratios.split(",")]:
            found = {name: run(args, ratio, extra, folder) for name, extra in SELECTORS}
            for name, errors in found.items():
                output, mass = zip(*errors.values())
                print(f"| {ratio} | {name} | {statistics.median(output):.4f} | {statistics.median(mass):.4f} | {len(output)} |")
            for which, what in ((0, "output"), (1, "mass")):
                lines.append(
                    f"kept {ratio}, {what} error: wpc <= omp in {share(found['wpc'], found['omp'], which):.0f} % of heads, "
                    f"omp <= hak in {share(found['omp'], found['hak'], which):.0f} %, "
                    f"wpc <= hak in {share(found['wpc'], found['hak'], which):.0f} %"
                )
    print()
    print("\n".join(lines))


if __name__ == "__main__":
    main()
