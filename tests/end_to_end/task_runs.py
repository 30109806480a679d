"""Task runs as a person starts, kills, goes on with and joins them.

A small grid on the default model: killed at moments drawn anew each time and gone on with, and cut in two
shards that are joined, it must give the summary of an undisturbed run, timings apart.

    python3 tests/end_to_end/task_runs.py build/release/limbeck
"""
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
UNITS = 2 * 2 * (2 * (2 + 2) + 2)  # tasks, documents, ratios x (methods and floors), bounds


def command(limbeck, folder, *more, methods="kvzip,limbeck"):
    return [limbeck, "eval", "--task", "niah_single_1,niah_single_2", "--lengths", "512", "--samples", "2",
            "--ratios", "0.2,0.05", "--methods", methods, "--texts", "assets/demo/story.txt",
            "-o", str(folder), *more]


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{arguments}: exit {done.returncode}\n{done.stderr}")
    return done


def without_timing(value):
    if isinstance(value, dict):
        return {k: without_timing(v) for k, v in value.items() if k != "timing"}
    if isinstance(value, list):
        return [without_timing(v) for v in value]
    return value


def summary(folder):
    return without_timing(json.loads((folder / "summary.json").read_text()))


def check(what, holds):
    print(("ok    " if holds else "FAIL  ") + what, flush=True)
    if not holds:
        sys.exit(1)


def done_units(folder):
    file = folder / "samples.jsonl"
    return file.read_bytes().count(b'{"done":') if file.exists() else 0


def killed_and_gone_on_with(limbeck, folder):
    """Kills the run three times, each time some moment after it has finished another unit or more."""
    seed = random.randrange(10**6)
    print(f"seed  {seed}")
    random.seed(seed)
    for _ in range(3):
        before, wanted = done_units(folder), random.randint(1, 4)
        process = subprocess.Popen(command(limbeck, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and done_units(folder) < before + wanted:
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.3))
        check("the run goes on when it is killed", process.poll() is None)
        process.send_signal(signal.SIGKILL)
        process.wait()
    check("and has something left to do", 0 < done_units(folder) < UNITS)
    with open(folder / "samples.jsonl", "ab") as file:
        file.write(b'{"task": "cut of')  # what a crash of the machine may leave
    run(*command(limbeck, folder))


def samples(folder):
    """Every line of the record, timings apart."""
    timing = ("seconds", "compaction_seconds", "rss_peak")
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    return sorted(json.dumps({k: v for k, v in line.items() if k not in timing}, sort_keys=True) for line in lines)


def interrupted(limbeck, folder):
    process = subprocess.Popen(command(limbeck, folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and done_units(folder) < 2:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    errors = process.communicate()[1]
    check("Ctrl-C ends a run with its own status and a sentence", process.returncode == 7 and "interrupted" in errors)
    check("between two units", done_units(folder) < UNITS and (folder / "samples.jsonl").read_bytes().endswith(b"\n"))


def smoke_plan(limbeck, folder):
    """The plan that ships for a first try, whole."""
    run(limbeck, "eval", "--plan", "smoke", "--texts", "assets/demo/story.txt", "-o", folder)
    cells = summary(folder)["cells"]
    rows = {(c["task"], c["method"]) for c in cells}
    tasks = ("niah_single_2", "niah_multikey_1", "json_kv", "lm")
    methods = ("full", "limbeck", "kvzip", "random", "streaming", "none")
    check("the plan smoke has four tasks under two methods, the floors and the bounds",
          len(cells) == len(rows) and rows == {(t, m) for t in tasks for m in methods})
    check("none of its answers failed", all(c["failed"] == 0 for c in cells))
    kl = {c["method"]: c["metrics"]["kl"] for c in cells if c["task"] == "lm"}
    check(f"a fifth of the text serves its continuation better than nothing: {kl}",
          kl["full"] == 0 and max(kl["limbeck"], kl["kvzip"]) < kl["none"])


def main():
    limbeck = sys.argv[1]
    models = pathlib.Path(os.environ.get("LIMBECK_MODELS", pathlib.Path.home() / ".cache/limbeck/models"))
    if not (models / "smollm2-135m.gguf").exists():
        print(f"SKIPPED: {models} has no smollm2-135m.gguf; `tools/setup.sh model` fetches it")
        return SKIPPED
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        run(*command(limbeck, folder / "whole"))
        whole = summary(folder / "whole")
        check("every method, floor, ratio and bound has a cell for each task", len(whole["cells"]) == 2 * (2 * (2 + 2) + 2))
        check("the table is written", "single" in (folder / "whole/summary.md").read_text())
        check("the page is written", "<svg" in (folder / "whole/report.html").read_text())
        killed_and_gone_on_with(limbeck, folder / "killed")
        check("a run killed three times ends with the same summary", summary(folder / "killed") == whole)
        check("and the same samples", samples(folder / "killed") == samples(folder / "whole"))
        heads = [(folder / name / "heads.jsonl").read_bytes() for name in ("whole", "killed")]
        check("and with the same budgets of heads", heads[0] == heads[1])
        interrupted(limbeck, folder / "stopped")
        run(*command(limbeck, folder / "stopped", "--task-seed", "7", "--new", "--min-full-score", "0.25",
                     methods="kvzip"))
        check("--new starts another run in the same folder", done_units(folder / "stopped") == 2 * 2 * (2 * 3 + 2))
        reported = (folder / "stopped/summary.md").read_bytes()
        run(limbeck, "report", folder / "stopped")
        check("reports are drawn anew as the run drew them", (folder / "stopped/summary.md").read_bytes() == reported)
        check("by the run's own bound", json.loads((folder / "stopped/summary.json").read_text())["options"]["min_full_score"] == 0.25)
        for i in (1, 2):
            run(*command(limbeck, folder / f"part{i}", "--shard", f"{i}/2"))
        run(limbeck, "merge", folder / "part1", folder / "part2", "-o", folder / "joined")
        check("two shards join to the same summary", summary(folder / "joined") == whole)
        compared = json.loads(run(limbeck, "report", folder / "whole", folder / "joined", "--json").stdout)
        check("two equal runs do not differ", all(c["difference"] == 0 for c in compared["cells"]) and compared["cells"])
        one = subprocess.run([limbeck, "merge", folder / "part1", "-o", folder / "none"], capture_output=True, text=True)
        check("a missing shard is refused", one.returncode == 2 and "has 2 shards; found 1" in one.stderr)
        for name in ("kvzip", "limbeck"):
            run(*command(limbeck, folder / name, methods=name))
        run(limbeck, "merge", "--methods", folder / "kvzip", folder / "limbeck", "-o", folder / "both")
        check("two runs of one method each join to the same cells", summary(folder / "both")["cells"] == whole["cells"])
        check("the page says what was joined", "Methods of 2 runs joined" in (folder / "both/report.html").read_text())
        other = subprocess.run(command(limbeck, folder / "whole", "--task-seed", "7"), capture_output=True, text=True)
        check("another seed in the same folder is refused", other.returncode == 3 and "seed" in other.stderr)
        smoke_plan(limbeck, folder / "smoke")
    return 0


if __name__ == "__main__":
    sys.exit(main())
