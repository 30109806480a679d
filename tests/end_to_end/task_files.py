"""Benchmark files, modes, plans and manifests from the command line, on a very small trained model.

Scores mean nothing here: the model knows 512 tokens. What is checked is which documents are run, what is recorded
of them, and what a mistake is answered with.

    python3 tests/end_to_end/task_files.py build/release/limbeck
"""
import hashlib
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

SKIPPED = 77
METHODS = ["--methods", "streaming:scorer.sinks=2,knorm", "--ratios", "0.5"]


def check(what, holds):
    print(("ok    " if holds else "FAIL  ") + what, flush=True)
    if not holds:
        sys.exit(1)


class Program:
    def __init__(self, limbeck, model, folder):
        self.start = [limbeck, "-m", str(model), "--threads", "1", "--quiet"]
        self.folder = folder
        self.number = 0

    def call(self, *arguments):
        return subprocess.run([*self.start, *map(str, arguments)], capture_output=True, text=True)

    def eval(self, *arguments, methods=METHODS):
        """Runs into a new folder and returns it."""
        self.number += 1
        out = self.folder / f"run{self.number}"
        done = self.call("eval", *methods, "-o", out, *arguments)
        if done.returncode != 0:
            sys.exit(f"{arguments}: exit {done.returncode}\n{done.stderr}")
        return out

    def refuses(self, what, status, text, *arguments):
        self.number += 1
        done = self.call("eval", *METHODS, "-o", self.folder / f"run{self.number}", *arguments)
        check(f"{what} (exit {done.returncode}: {done.stderr.strip()[:200]})",
              done.returncode == status and text in done.stderr)


def rows(folder):
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    return [row for row in lines if "done" not in row]


def cells(folder):
    return json.loads((folder / "summary.json").read_text())["cells"]


def jsonl(path, *records):
    path.write_text("".join(r if isinstance(r, str) else json.dumps(r) + "\n" for r in records))
    return path


def qa_record(i):
    return {"input": f"Who came on day {i}?", "context": f"On day {i} Tim came to the park. " * 12,
            "answers": ["Tim"], "length": 100, "all_classes": None}


def published(program, folder):
    bench = folder / "longbench"
    bench.mkdir()
    jsonl(bench / "hotpotqa.jsonl", *[qa_record(i) for i in range(3)])
    jsonl(bench / "musique.jsonl", *[qa_record(i) for i in range(2)])
    jsonl(bench / "qasper.jsonl", qa_record(0))
    jsonl(bench / "dureader.jsonl", qa_record(0))
    choice = {"_id": "1", "domain": "d", "sub_domain": "s", "difficulty": "easy", "length": "short",
              "question": "Who came?", "choice_A": "Tim", "choice_B": "Tom", "choice_C": "Sue", "choice_D": "Ann",
              "answer": "A", "context": "Tim came to the park. " * 10}
    quality = {"article_id": "7", "article": "Tim came. " * 30,
               "questions": [{"question": f"Who came {i}?", "options": ["Tim", "Tom", "Sue", "Ann"], "gold_label": 1,
                              "difficult": i % 2} for i in range(3)]}
    meeting = {"meeting_transcripts": [{"speaker": "Tim", "content": "We go to the park. " * 10}],
               "general_query_list": [{"query": "Sum up.", "answer": "They go."}], "specific_query_list": []}
    passages = {"id": 1, "question": "Who came?", "answers": ["Tim"], "ctxs": [{"title": "T", "text": "Tim came."}] * 3}
    v2 = jsonl(folder / "v2.jsonl", choice)
    out = program.eval("--task", f"longbench={bench},longbench-v2={v2}", "--task",
                       f"quality={jsonl(folder / 'q.jsonl', quality)}", "--task",
                       f"qmsum={jsonl(folder / 'm.jsonl', meeting)}:max_new=16", "--task",
                       f"helmet_rag={jsonl(folder / 'nq.jsonl', passages)}", "--lengths", "128,256", "--samples", "2")
    found = rows(out)
    per_task = {t: sum(r["task"] == t and r["method"] == "full" for r in found) for t in {r["task"] for r in found}}
    check("every task of the files is run once, whatever the lengths",
          per_task == {"hotpotqa": 2, "musique": 2, "qasper": 1, "longbench_v2": 1, "quality": 3, "qmsum": 1, "nq": 1})
    check("floors stand at every ratio, under methods and settings",
          {r["method"] for r in found} == {"full", "none", "random", "streaming", "knorm", "streaming:scorer.sinks=2"})
    summary = json.loads((out / "summary.json").read_text())
    multi = [c for c in summary["categories"] if c["category"] == "multi-doc" and c["method"] == "full"]
    scores = {c["task"]: c["score"] for c in cells(out) if c["method"] == "full"}
    check("a category's mean is that of its sets",
          len(multi) == 1 and math.isclose(multi[0]["score"], (scores["hotpotqa"] + scores["musique"]) / 2))
    text = (out / "summary.md").read_text()
    check("the tables show categories, memory and counts",
          "single-doc" in text and "process MiB" in text and "truncated" in text)
    quality_cell = next(c for c in cells(out) if c["task"] == "quality" and c["method"] == "full")
    check("parts of a benchmark have means of their own", "difficult" in quality_cell["metrics"] and
          any("easy" in c["metrics"] for c in cells(out) if c["task"] == "longbench_v2"))
    timing = quality_cell["timing"]
    check("memory of the process is measured", timing["rss_peak"] > 1e6)
    manifest = json.loads((out / "manifest.json").read_text())
    wanted = {"task", "file", "options"}
    check("the manifest has each file's hash and all options",
          all(wanted <= set(t) and t["file"]["hash"] for t in manifest["tasks"]) and len(manifest["tasks"]) == 7)
    check("no floors where they are not wanted",
          {r["method"] for r in rows(program.eval("--task", f"longbench-v2={v2}", "--no-floors"))} ==
          {"full", "none", "knorm", "streaming:scorer.sinks=2"})
    by_seed = [program.eval("--task", f"helmet_rag={folder / 'nq.jsonl'}", "--task-seed", seeds) for seeds in ("42", "42,43")]
    check("the questions of a file are asked once, whatever the seeds", len(rows(by_seed[0])) == len(rows(by_seed[1])) > 0)
    check("the full cache alone",
          {r["method"] for r in rows(program.eval("--task", f"longbench-v2={v2}", "--methods", "full", methods=[]))} ==
          {"full", "none"})


def broken_files(program, folder):
    good = jsonl(folder / "trec.jsonl", {**qa_record(0), "all_classes": ["Tim", "Tom"]})
    bad = jsonl(folder / "musique.jsonl", qa_record(0), {**qa_record(1), "answers": "Tim"}, "{cut\n", qa_record(2))
    text = 'musique.jsonl line 2: field "answers" must be a list; found string'
    program.refuses("a broken record is named by file, line and field", 4, text, "--task", f"longbench={bad}")
    out = program.eval("--task", f"longbench={bad},longbench={good}", "--keep-going")
    full = [r for r in rows(out) if r["method"] == "full"]
    errors = [r["error"] for r in full if r["error"]]
    check("with --keep-going the others are run", len(full) == 5 and len(errors) == 2 and text in errors[0])
    check("failures are counted", any(c["failed"] == 2 for c in cells(out)))
    (folder / "classes").mkdir()
    broken = jsonl(folder / "classes" / "trec.jsonl", {**qa_record(0), "answers": "Tim"}, {**qa_record(1), "all_classes": ["Tim", "Tom"]})
    full = [r for r in rows(program.eval("--task", f"longbench={broken}", "--keep-going")) if r["method"] == "full"]
    check("a record whose classes nobody knows fails alone", [bool(r["error"]) for r in full] == [True, False])
    empty = jsonl(folder / "narrativeqa.jsonl", "[")
    program.refuses("a file that cannot be read at all is named", 4, "narrativeqa.jsonl", "--task", f"longbench={empty}")
    out = program.eval("--task", f"longbench={empty},longbench={good}", "--keep-going")
    names = {r["task"] for r in rows(out)}
    check("and is a failed task of its own otherwise", names == {"longbench narrativeqa", "trec"})
    program.refuses("a file that is not there", 5, "there is no file /no/x.jsonl", "--task", "quality=/no/x.jsonl")
    program.refuses("an unknown set", 2, "dataset must be one of", "--task", f"longbench={jsonl(folder / 'x.jsonl', qa_record(0))}")
    program.refuses("an unknown option", 2, '[vt] unknown option "question"', "--task", "vt:question=2")
    program.refuses("two tasks of one name", 2, "as=NAME", "--task", f"longbench={good},longbench={good}")


def language_model(program, folder, texts):
    command = ["--task", "lm:continuation=80", "--texts", texts, "--lengths", "128,500", "--samples", "2"]
    out = program.eval(*command)
    full = [c for c in cells(out) if c["method"] == "full"]
    check("the full cache does not differ from itself", all(c["metrics"]["kl_max"] == 0 and c["score"] == 1 for c in full))
    half = next(c for c in cells(out) if c["method"] == "knorm")
    m = half["metrics"]
    check("a compact one does", m["kl"] > 0 and m["kl_50"] <= m["kl_90"] <= m["kl_99"] <= m["kl_max"])
    check("perplexities are of the means", math.isclose(m["ppl"], math.exp(m["nll"])) and
          math.isclose(m["nll"] - m["nll_full"], m["ln_ratio"], rel_tol=1e-9, abs_tol=1e-12))
    check("distances have metrics of their own", {"kl [1,16)", "kl [16,64)", "kl [64,256)"} <= set(m) and "kl [256,K)" not in m)
    check("a length beyond the window is listed", "lm at 500 tokens was not run" in (out / "summary.md").read_text()
          and {c["length"] for c in cells(out)} == {128})
    check("the page has the fan", "KL divergence against bytes" in (out / "report.html").read_text())
    check("the manifest names its inputs without their folders",
          json.loads((out / "manifest.json").read_text())["run"]["inputs"] == {"texts": [texts.name]})
    short = jsonl(folder / "short.txt", "Once upon a time.\n" * 9)
    program.refuses("a text that is too short is said so", 2, "must have room for 1 excerpts of 208 tokens; found room for 0",
                    "--task", "lm:continuation=80", "--texts", short, "--lengths", "128")


def modes(program, folder):
    task = f"longbench={jsonl(folder / 'hotpotqa.jsonl', *[qa_record(i) for i in range(2)])}"
    runs = {mode: program.eval("--task", task, "--mode", mode) for mode in ("agnostic", "aware", "in-prompt")}
    for mode, out in runs.items():
        check(f"rows are labelled {mode}", {r["mode"] for r in rows(out)} == {mode})
    check("aware tables say so", "query-aware" in (runs["aware"] / "summary.md").read_text())
    check("in-prompt tables say that they do not compare", "NOT COMPARABLE" in (runs["in-prompt"] / "summary.md").read_text())

    def answers(mode):
        return [r["prediction"] for r in rows(runs[mode]) if r["method"] == "full"]

    check("the full cache answers the same in-prompt as asked afterwards", answers("in-prompt") == answers("agnostic"))
    first = {(r["doc_id"], r["prediction"][:1]) for r in rows(runs["in-prompt"]) if r["method"] in ("full", "random")}
    check("in-prompt, the first token is the full cache's whatever was kept", len(first) == 2)
    ids = {json.loads((out / "manifest.json").read_text())["manifest_id"] for out in runs.values()}
    check("modes have manifests of their own", len(ids) == 3)
    program.refuses("an unknown mode", 2, "mode must be one of agnostic, aware, in-prompt", "--task", task, "--mode", "x")
    program.refuses("a flag of the needles beside tasks", 2, "--contexts belongs to the measurement with needles", "--task", task, "--contexts", "3")
    program.refuses("a flag of tasks without one", 2, "--output belongs to benchmark tasks")


def plans(program, folder, texts):
    plan = {"task": ["lm:continuation=40", {"task": "lm", "as": "other, longer", "options": {"continuation": 48}}],
            "texts": [str(texts)], "lengths": [96, 128], "samples": 1, "methods": ["knorm"], "ratios": [0.5, 0.25],
            "no-floors": True}
    path = folder / "plan.json"
    path.write_text(json.dumps(plan))
    out = program.eval("--plan", path, "--ratios", "0.5", methods=[])
    got = {(c["task"], c["length"], c["method"], c["budget"]) for c in cells(out)}
    want = {(t, n, m, b) for t in ("lm", "other, longer") for n in (96, 128) for m, b in (("full", 1), ("none", 0), ("knorm", 0.5))}
    check("a plan file sets the flags, the command line goes before it", got == want)
    for change, text in (({"sample": 1}, 'key "sample" is no flag'), ({"samples": "x"}, 'key "samples" cannot be'),
                         ({"lengths": {"a": 1}}, 'key "lengths" must be'), ({"task": [{"name": "lm"}]}, 'key "task[0].name" is unknown')):
        path.write_text(json.dumps({**plan, **change}))
        done = program.call("eval", "--plan", path, "-o", folder / "never")
        check(f"a mistake names the key: {text}", done.returncode == 2 and text in done.stderr)
    path.write_text("{")
    check("a plan that is no JSON names the file", program.call("eval", "--plan", path).returncode == 4)
    yaml_plans(program, folder, texts, out)
    for name, ratios in (("smoke", 1), ("dev", 2), ("full", 5)):
        out = program.eval("--plan", name, "--task", "lm:continuation=40", "--texts", texts, "--lengths", "96",
                           "--samples", "1", "--methods", "knorm", methods=[])
        found = [c for c in cells(out) if c["method"] == "knorm"]
        check(f"the plan {name} that ships sets {ratios} ratios, flags go before it", len(found) == ratios)
    done = program.call("eval", "--plan", "smokes", "--texts", texts)
    check("a plan that does not ship names those that do", done.returncode == 2 and "dev, full, smoke" in done.stderr)


def yaml_plans(program, folder, texts, same):
    path = folder / "plan.yaml"
    flags = f"""# the plan above in YAML
texts: ["{texts}"]
lengths: [96, 128]
samples: &one 1
methods: knorm
no-floors: yes
"""
    path.write_text(flags + """task:
  - lm:continuation=40
  - {task: lm, as: "other, longer", options: {continuation: 48}}
""")
    out = program.eval("--plan", path, "--ratios", "0.5", methods=[])
    ids = {json.loads((folder / "manifest.json").read_text())["manifest_id"] for folder in (same, out)}
    check("a plan in YAML is the same run", len(ids) == 1)
    for text, status, message in ((flags + "samples: 2", 4, 'key "samples" appears twice, line 7'),
                                  (flags + "ratios: [0.5", 4, "no valid YAML; line"),
                                  (flags + "---\ntask: lm", 4, "must be one YAML document; found 2"),
                                  (flags + "ratios: &r [*r]", 4, "nesting exceeds 64 levels"),
                                  (flags + "ratios: [*two]", 4, "no valid YAML; line 7"),
                                  (flags + "? [a]\n: 1", 4, "a key must be a text, line 7"),
                                  (flags + "ratios: &x " + "9" * 90_000 + "\nmethods-x: [" + "*x, " * 50 + "*x]", 4, "values of more than"),
                                  (flags + "mode: \0", 4, "found a NUL byte at position"),
                                  (flags + "sample: *one", 2, 'key "sample" is no flag'), ("lm", 4, "must be an object"),
                                  (flags + "ratios:", 2, 'key "ratios" must be')):
        path.write_text(text)
        done = program.call("eval", "--plan", path, "-o", folder / "never")
        check(f"a mistake in YAML: {message}", done.returncode == status and message in done.stderr)


def manifests(program, folder, texts):
    command = ["--task", "lm:continuation=40", "--texts", texts, "--lengths", "96", "--samples", "2"]
    out = program.eval(*command)
    m = json.loads((out / "manifest.json").read_text())
    kept = {k: v for k, v in m.items() if k not in ("run", "manifest_id")}
    canonical = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    check("the id is the SHA-256 of the canonical text", m["manifest_id"] == hashlib.sha256(canonical.encode()).hexdigest())
    check("engine, compiler, commit and build are there", all(m["engine"][k] not in ("", None) for k in ("version", "commit", "dirty", "compiler", "build", "torch")))
    streaming = m["methods"][0]
    check("methods have all options after defaults", streaming["stages"][0]["scorer"]["options"]["sinks"] == "2")
    parts = [program.eval(*command, "--shard", f"{i}/2") for i in (1, 2)]
    same = {json.loads((p / "manifest.json").read_text())["manifest_id"] for p in [out, *parts]}
    check("shards share it", same == {m["manifest_id"]})


def main():
    limbeck, data = sys.argv[1], pathlib.Path(os.environ.get("LIMBECK_TEST_DATA", "../shared/data"))
    model = data / "models/tinyllamas-stories-260k-f32.gguf"
    if not model.exists():
        print(f"SKIPPED: {model} is not there; LIMBECK_TEST_DATA names the folder")
        return SKIPPED
    texts = pathlib.Path("assets/demo/story.txt")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        program = Program(limbeck, model, folder)
        listed = program.call("tasks").stdout
        check("tasks are listed with their files", "niah_multikey_1" in listed and "longbench_v2" in listed and "SQuAD" in listed)
        for part in (published, broken_files, modes):
            place = folder / part.__name__
            place.mkdir()
            part(program, place)
        language_model(program, folder, texts)
        plans(program, folder, texts)
        manifests(program, folder, texts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
