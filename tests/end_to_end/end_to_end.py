"""The command line as a person uses it, on the default model: compact, inspect, ask, join, and every refusal.

Exit status 77 = skipped (no default model). Needs nothing but Python's standard library.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

INSTRUCTION = (
    "Some special magic numbers are hidden within the following text. Make sure to memorize them. "
    "I will quiz you about the numbers afterwards.\n"
)
failures = []


def check(name, holds, detail=""):
    print(("ok    " if holds else "FAIL  ") + name + ("" if holds else f": {detail}"))
    if not holds:
        failures.append(name)


class Program:
    def __init__(self, path):
        self.path = path

    def __call__(self, *arguments, stdin=None):
        return subprocess.run(
            [self.path, "--quiet", *map(str, arguments)], input=stdin, capture_output=True, text=True
        )

    def json(self, *arguments):
        result = self("--json", *arguments)
        if result.returncode != 0:
            raise SystemExit(f"{arguments}: exit {result.returncode}\n{result.stderr}")
        return json.loads(result.stdout)


def passages(text):
    """Two stretches of the story of some 700 words, each with one needle."""
    paragraphs = text.split("\n\n")
    at = {word: next(i for i, p in enumerate(paragraphs) if f"number for {word} is" in p or f"numbers for {word} is" in p)
          for word in ("harbor", "orchard")}

    def around(i):
        first, last = i, i + 1
        while sum(len(p.split()) for p in paragraphs[first:last]) < 600 and (first > 0 or last < len(paragraphs)):
            first, last = max(0, first - 1), min(len(paragraphs), last + 1)
        return "\n\n".join(paragraphs[first:last])

    return INSTRUCTION + around(at["harbor"]), INSTRUCTION + around(at["orchard"])


def question(word):
    return f"What is the special magic number for {word} mentioned in the provided text?"


def works(run, folder, texts):
    files = []
    for i, text in enumerate(texts):
        source, target = folder / f"{i}.txt", folder / f"{i}.kvc"
        source.write_text(text)
        files.append(target)
        report = run.json("compact", "-f", source, "-o", target, "--ratio", 0.25)
        ratio = report["ratio"]["achieved"]
        check(f"compact keeps a quarter of text {i}", abs(ratio - 0.25) < 0.002, ratio)
        bytes_ = report["bytes"]
        check(f"compact frees memory of text {i}", bytes_["after"] < 0.32 * bytes_["before"], bytes_)
    again = folder / "again.kvc"
    run.json("compact", "-f", folder / "0.txt", "-o", again, "--ratio", 0.25)
    check("the same text, method and seed give the same bytes", again.read_bytes() == files[0].read_bytes())

    seen = run.json("inspect", files[0])
    check("inspect reports what is kept", 0.2 < seen["cache"]["kept_ratio"] < 0.35, seen["cache"])
    check("inspect prints a table", "compacted" in run("inspect", files[0]).stdout)
    expected = {"harbor": "48213", "orchard": "63817"}
    for word, file in zip(expected, files):
        answer = run.json("ask", "-c", file, question(word), "--max-tokens", 40)[0]["answer"]
        check(f"a compact cache answers for {word}", expected[word] in answer, answer)
    # Read on behind a compact cache: what it holds stays as it is.
    grown = folder / "grown.kvc"
    report = run.json("compact", "-c", files[0], "-f", folder / "1.txt", "-o", grown, "--ratio", 0.25)
    before, after = (run.json("inspect", f)["header"]["checksums"] for f in (files[0], grown))
    check("only the new text is compacted", abs(report["ratio"]["achieved"] - 0.25) < 0.002, report["ratio"])
    check("what was there stays bit for bit",
          len(before) > 100 and all(after.get(k) == v for k, v in before.items() if k.startswith("seg.")))
    for word in expected:
        answer = run.json("ask", "-c", grown, question(word), "--max-tokens", 40)[0]["answer"]
        check(f"the cache that has grown answers for {word}", expected[word] in answer, answer)
    for flags in (["--raw"], ["--kv-budget", 100], ["--system", "x"]):
        result = run("compact", "-c", files[0], "-f", folder / "1.txt", "-o", folder / "no.kvc", "--ratio", 0.25, *flags)
        check(f"{flags[0]} behind a cache is refused", result.returncode == 2, result.stderr)
    # Two needles of one kind confuse this small model as soon as neither text has read the other, also at
    # ratio 1; so each text is asked behind or before one that speaks of something else.
    other, plain = folder / "other.txt", folder / "other.kvc"
    sentence = "One of the special magic numbers for orchard is: 63817."
    other.write_text(texts[1].replace(INSTRUCTION, "").replace(sentence, "The secret password of the old library is bluebird."))
    run.json("compact", "-f", other, "-o", plain, "--ratio", 0.25)
    first = run.json("ask", "-c", files[0], "-c", plain, question("harbor"), "--max-tokens", 40)
    check("joined caches answer for the first text", "48213" in first[0]["answer"], first[0]["answer"])
    second = run.json("ask", "-c", files[0], "-c", files[1], question("harbor"), question("orchard"), "--max-tokens", 40)
    check("joined caches answer for the second text", "63817" in second[1]["answer"], second[1]["answer"])
    alone = run.json("ask", "-c", files[0], "-c", files[1], question("orchard"), "--max-tokens", 40)
    check("a question asked alone equals the same one asked second", alone[0]["answer"] == second[1]["answer"])
    chat = run("chat", "--max-tokens", 16, stdin="What is the capital of France?\nAnd of Italy?\n")
    check("chat answers line by line", "Paris" in chat.stdout and chat.returncode == 0, chat.stdout + chat.stderr)
    for command in ("methods", "models"):
        check(f"{command} lists", run(command).returncode == 0 and len(run.json(command)) > 0)
    return files


def keeps_quality(run, folder):
    """The shipped curves turn a quality into a ratio."""
    source, target = folder / "0.txt", folder / "quality.kvc"
    ratios = []
    for quality in (0.7, 0.9):
        report = run.json("compact", "-f", source, "-o", target, "--quality", quality)
        ratios.append(report["ratio"]["achieved"])
        check(f"quality {quality} is predicted", report["quality"]["predicted"] >= quality - 0.001, report["quality"])
    check("more quality keeps more", 0 < ratios[0] < ratios[1] < 1, ratios)
    for name, text, flags in (
        ("a method without a curve", "holds no curve of tova", ["--quality", 0.9, "--method", "tova"]),
        ("a quality of 1", "--quality must be in (0, 1); found 1", ["--quality", 1]),
        ("a quality and a ratio", "one of --quality", ["--quality", 0.9, "--ratio", 0.5]),
        ("a quality with streaming heads", "without streaming heads", ["--quality", 0.9, "--heads", "gates.tsv"]),
        ("a quality while reading", "one of --quality", ["--quality", 0.9, "--kv-budget", 100]),
    ):
        result = run("compact", "-f", source, "-o", folder / "none.kvc", *flags)
        check(f"{name} is refused", result.returncode == 2 and text in result.stderr, result.stderr)


def stays_small(run, folder, text):
    """Budgets while reading and while talking, and heads that stream."""
    source, target = folder / "0.txt", folder / "bounded.kvc"
    report = run.json("compact", "-f", source, "-o", target, "--kv-budget", 200, "--prefill-chunk", 256,
                      "--method", "keydiff")
    prefill, held = report["prefill"], report["footprint"]
    check("reading within a budget holds what is predicted", prefill["measured_peak"] == prefill["nominal_peak"], prefill)
    check("the peak is a part of the text", held["peak"] < 0.6 and held["footprint"] < 0.6, held)
    check("the bounded cache answers", len(run.json("ask", "-c", target, question("harbor"), "--max-tokens", 4)) == 1)

    gates = folder / "gates.tsv"
    gates.write_text("\n".join("\t".join(f"{(7 * l + 3 * h) % 10 / 10}" for h in range(3)) for l in range(30)))
    plain = run.json("generate", text, "--max-tokens", 4)["footprint"]
    heads = run.json("generate", text, "--max-tokens", 4, "--heads", gates, "--sparsity", 0.7, "--sinks", 4,
                     "--window", 64)["footprint"]
    check("a full cache has footprint 1", plain["footprint"] == 1 and plain["peak"] == 1, plain)
    check("streaming heads free memory", heads["kv_bytes"] < 0.5 * plain["kv_bytes"], heads)
    check("the pattern is reported", heads["heads"]["sparsity"] == 0.7 and heads["heads"]["window"] == 64, heads)

    line = " ".join(text.split()[:150]) + "\n"
    chat = run("chat", "--max-tokens", 4, "--kv-budget", 160, "--kv-recent", 32, "--kv-method", "keydiff",
               stdin=10 * line)
    check("chat goes on past its budget and says so", chat.returncode == 0 and chat.stderr.count("compacted") > 9,
          chat.stderr)


def refuses(run, folder, cache):
    def refused(name, status, text, *arguments):
        result = run(*arguments)
        check(f"{name} is refused with exit {status}", result.returncode == status and text in result.stderr,
              f"exit {result.returncode}, {result.stderr}")

    source, out = folder / "0.txt", folder / "none.kvc"
    empty, long, bad = folder / "empty.txt", folder / "long.txt", folder / "bad.txt"
    empty.write_text("")
    long.write_text("one two three four five " * 2500)
    bad.write_bytes(b"good text \xff\xfe bad")
    refused("ratio 0", 2, "--ratio in (0, 1], --budget and --kv-budget; found none", "compact", "-f", source, "-o", out, "--ratio", 0)
    refused("an unknown method", 2, "unknown method", "compact", "-f", source, "-o", out, "--method", "x", "--ratio", 0.5)
    refused("an empty text", 2, "empty", "compact", "-f", empty, "-o", out, "--ratio", 0.5)
    refused("a text beyond the window", 2, "window is 8192", "compact", "-f", long, "-o", out, "--ratio", 0.5)
    refused("invalid UTF-8", 2, "invalid UTF-8 at byte 10", "compact", "-f", bad, "-o", out, "--ratio", 0.5)
    refused("a missing file", 5, "cannot open", "compact", "-f", folder / "no.txt", "-o", out, "--ratio", 0.5)
    refused("a missing model", 5, "no file, folder or known name", "-m", "no-such-model", "generate", "x")
    gates = folder / "bad.tsv"
    gates.write_text("0.5\t0.5\n")
    refused("a pattern of another model", 4, "row 0 must have 3 columns", "generate", "x", "--heads", gates, "--sparsity", 0.5)
    refused("a budget without a number", 2, "kv-budget", "chat", "--kv-budget", "much")
    refused("an unknown overflow policy", 2, "compact-shift", "chat", "--overflow", "loop")
    refused("a budget and a ratio", 2, "--kv-budget", "compact", "-f", source, "-o", out, "--kv-budget", 100, "--ratio", 0.5)
    refused("an unknown flag", 2, "--nope", "generate", "x", "--nope")
    check("nothing was left half-written", not out.exists() and not list(folder.glob("*.tmp*")))

    whole = cache.read_bytes()
    broken = folder / "broken.kvc"
    broken.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused("a flipped byte", 4, "checksum", "ask", "-c", broken, "x")
    broken.write_bytes(whole[: len(whole) // 2])
    refused("a truncated cache", 4, "truncated", "ask", "-c", broken, "x")
    refused("a cache of another model", 3, "", "--dtype", "f32", "ask", "-c", cache, "x")
    model = folder / "broken.gguf"
    model.write_bytes(b"GGUF" + bytes(20))
    refused("a broken model file", 4, "gguf", "-m", model, "generate", "x")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--limbeck", required=True)
    parser.add_argument("--assets", required=True)
    options = parser.parse_args()
    directory = os.environ.get("LIMBECK_MODELS") or pathlib.Path.home() / ".cache/limbeck/models"
    if not (pathlib.Path(directory) / "smollm2-135m.gguf").exists():
        print("skipped: the default model is not there; `make setup` fetches it")
        return 77
    run = Program(options.limbeck)
    texts = passages((pathlib.Path(options.assets) / "demo" / "story.txt").read_text())
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        files = works(run, folder, texts)
        keeps_quality(run, folder)
        stays_small(run, folder, texts[0])
        refuses(run, folder, files[0])
    print(f"{len(failures)} checks failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
