"""How long compaction takes, as a multiple of the prefill of the same text in the same run, and the memory of it.

Reads a text (repeated as often as needed) at several lengths with every method named, a few runs of each,
and prints medians; the memory is the most that a process had resident, model, cache and all (that of `knorm` is
what reading the text takes). Lengths beyond the model's window run on a copy of the GGUF file whose window is
declared longer: the costs are those of a long context, the quality means nothing there.

    python3 bench/compaction_scaling.py [--lengths 1024,2048,4096,6144] [--long-lengths 8192,16384]
        [--methods limbeck,kvzip] [--ratio 0.05] [--runs 3]
"""
import argparse
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile


def declare_window(source, target, tokens):
    """Copies a GGUF file with llama.context_length set to `tokens`."""
    with open(source, "rb") as file:
        data = bytearray(file.read())
    key = b"llama.context_length"
    at = data.find(key)
    if at < 0 or struct.unpack_from("<I", data, at + len(key))[0] != 4:
        sys.exit(f"{source}: no llama.context_length of type u32 to change")
    struct.pack_into("<I", data, at + len(key) + 4, tokens)
    with open(target, "wb") as file:
        file.write(data)


def compact(args, model, text, method, folder):
    command = [args.limbeck, "--model", model] if model else [args.limbeck]
    command += ["compact", "--json", "-f", text, "-o", os.path.join(folder, "out.kvc")]
    command += ["--method", method, "--ratio", str(args.ratio)]
    if os.path.exists(os.path.join(folder, "out.kvc")):
        os.remove(os.path.join(folder, "out.kvc"))
    errors = os.path.join(folder, "stderr.txt")
    with open(errors, "w", encoding="utf-8") as stderr:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
        printed = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)  # nobody else is to wait for it
    if status != 0:
        with open(errors, encoding="utf-8") as file:
            sys.exit(f"{' '.join(command)}\n{file.read()}")
    return json.loads(printed), usage.ru_maxrss / 1024  # KiB on Linux


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limbeck", default="build/release/limbeck")
    parser.add_argument("--model-file", default=os.path.expanduser("~/.cache/limbeck/models/smollm2-135m.gguf"))
    parser.add_argument("--text", default="assets/demo/story.txt")
    parser.add_argument("--lengths", default="1024,2048,4096,6144")
    parser.add_argument("--long-lengths", default="")
    parser.add_argument("--methods", default="limbeck,kvzip")
    parser.add_argument("--ratio", type=float, default=0.05)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with open(args.text, encoding="utf-8") as file:
        text = file.read() + "\n\n"
    print("| tokens | method | prefill s | compaction s | times the prefill | resident MiB | stages |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        lengths = [(int(n), "") for n in args.lengths.split(",") if n]
        if args.long_lengths:
            long_model = os.path.join(folder, "long-window.gguf")
            longest = max(int(n) for n in args.long_lengths.split(","))
            declare_window(args.model_file, long_model, 2 * longest + 1024)
            lengths += [(int(n), long_model) for n in args.long_lengths.split(",")]
        probe = os.path.join(folder, "text.txt")
        per_token = 4.0
        for wanted, model in lengths:
            for number, method in enumerate(args.methods.split(",")):
                runs, resident = [], 0.0
                warm_up = number == 0  # which also finds how much text has that many tokens
                for attempt in range(args.runs + warm_up):
                    characters = int(wanted * per_token)
                    with open(probe, "w", encoding="utf-8") as out:
                        out.write((text * (characters // len(text) + 1))[:characters])
                    result, peak = compact(args, model, probe, method, folder)
                    tokens = result["span"][1] - result["span"][0]
                    per_token = characters / tokens
                    if attempt >= warm_up:
                        runs.append(result)
                        resident = max(resident, peak)
                stages = {s: statistics.median(r["seconds"].get(s, 0.0) for r in runs) for s in runs[0]["seconds"]}
                prefill = stages.pop("prefill")
                stages.pop("save", None)
                total = sum(stages.values())
                named = ", ".join(f"{s} {t:.2f}" for s, t in stages.items() if t >= 0.005)
                print(
                    f"| {tokens} | {method} | {prefill:.2f} | {total:.2f} | {total / prefill:.1f} | {resident:.0f} | {named} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
