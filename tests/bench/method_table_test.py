"""bench/method_table.py on made-up results: what the section says, and that --check notices a change.

    python3 tests/bench/method_table_test.py
"""
import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import method_table  # noqa: E402  the folder is known only now


def row(method, ratio, answers, continuation, cost, error=0.001, length=1024):
    return {"length": length, "method": method, "ratio": ratio, "contexts": 6,
            "kl_answers": {"mean": answers, "standard_error": error},
            "kl_continuation": {"mean": continuation, "standard_error": error},
            "compaction_seconds": cost}


ROWS = [
    row("full", 1.0, 0.0, 0.0, 0.0),
    row("slow", 0.1, 0.100, 0.300, 20.0), row("quick", 0.1, 0.108, 0.500, 0.5), row("flow", 0.1, 0.400, 0.200, 2.0),
    row("slow", 0.5, 0.010, 0.030, 12.0), row("quick", 0.5, 0.0115, 0.050, 0.4), row("flow", 0.5, 0.040, 0.020, 2.0),
    row("none", 0.0, 3.0, 1.0, 0.0),
]


class MethodTable(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.result = Path(self.folder.name) / "result.json"
        self.docs = Path(self.folder.name) / "methods.md"
        self.docs.write_text("# Methods\n\nText before.\n", encoding="utf-8")
        self.write(ROWS)

    def tearDown(self):
        self.folder.cleanup()

    def write(self, rows, **settings):
        self.result.write_text(json.dumps({"settings": settings, "summary": rows}), encoding="utf-8")

    def run_tool(self, *more):
        return method_table.main([str(self.result), "--docs", str(self.docs), *more])

    def lines(self):
        return self.docs.read_text(encoding="utf-8").splitlines()

    def test_names_the_best_and_the_cheapest_within_a_tenth(self):
        self.assertEqual(self.run_tool(), 0)
        self.assertIn("| 1,024 | 0.1 | slow (0.1000, 20 s) | flow (0.2000, 2.00 s) | quick (0.1080, 0.50 s) "
                      "| flow (0.2000, 2.00 s) |", self.lines())
        # 0.0115 is beyond a tenth of 0.010, but within both standard errors.
        self.assertIn("| 1,024 | 0.5 | slow (0.0100, 12 s) = quick | flow (0.0200, 2.00 s) | slow (0.0100, 12 s) "
                      "| flow (0.0200, 2.00 s) |", self.lines())
        self.assertIn("On answers the best of 2 cases: slow in 2. Not told apart from it by the standard errors: "
                      "quick in 1. Cheapest within 10 % of the best: quick in 1, slow in 1.", self.lines())
        self.assertIn("| quick | 0.40 s to 0.50 s |", self.lines())
        self.assertNotIn("none", " ".join(self.lines()))

    def test_lengths_and_ratios_come_in_order_and_missing_cases_are_dashes(self):
        self.write(ROWS + [row("quick", 0.1, 0.2, 0.2, 3.0, length=2048)], model="small")
        self.run_tool()
        cases = [line.split("|")[1:3] for line in self.lines() if line.startswith(("| 1,", "| 2,"))]
        self.assertEqual([[c.strip() for c in case] for case in cases],
                         [["1,024", "0.5"], ["1,024", "0.1"], ["2,048", "0.1"]])
        self.assertIn("| slow | 12 s to 20 s | - |", self.lines())
        self.assertTrue(any(line.startswith("small, 3 methods, 6 contexts a case") for line in self.lines()))

    def test_check_notices_every_difference(self):
        self.assertEqual(self.run_tool("--check"), 1)  # no section yet
        self.run_tool()
        self.assertEqual(self.run_tool("--check"), 0)
        self.write(ROWS[:-2] + [row("flow", 0.5, 0.001, 0.020, 2.0)])
        self.assertEqual(self.run_tool("--check"), 1)
        self.write(ROWS)
        text = self.docs.read_text(encoding="utf-8")
        self.docs.write_text(text.replace("slow in 2", "quick in 2"), encoding="utf-8")
        self.assertEqual(self.run_tool("--check"), 1)

    def test_rewriting_leaves_the_rest_alone(self):
        self.run_tool()
        once = self.docs.read_text(encoding="utf-8")
        self.docs.write_text(once + "\n## After\n", encoding="utf-8")
        self.run_tool()
        text = self.docs.read_text(encoding="utf-8")
        self.assertTrue(text.startswith("# Methods\n\nText before.\n\n" + method_table.BEGIN))
        self.assertIn("## After", text)
        self.assertEqual(text.count(method_table.BEGIN), 1)
        self.run_tool()
        self.assertEqual(self.docs.read_text(encoding="utf-8"), text)

    def test_other_files_are_refused(self):
        for text in ("{", "{}", '{"summary": []}', '{"summary": [{"method": "a"}]}'):
            self.result.write_text(text, encoding="utf-8")
            self.assertEqual(self.run_tool(), 2, text)
        self.assertNotIn(method_table.BEGIN, self.docs.read_text(encoding="utf-8"))


if __name__ == "__main__":
    unittest.main()
