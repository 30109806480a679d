"""Reads our container files with kvc_reader.py, which knows the format from its document alone.

python tests/oracle/kvc_oracle.py --tool build/release/limbeck [--model FILE.gguf]

The files are caches that `limbeck compact` wrote with the model. Exit code 1
when one of them breaks a promise of docs/cache-format.md.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import kvc_reader

TEXT = "".join(f"Line {i}: the mate of the {'north' if i % 3 else 'south'} ship counted {i * 37 % 1000} barrels.\n"
               for i in range(20))


def compacted(limbeck, model, folder, ratio):
    """A cache with a compacted segment and a verbatim rest; at ratio 1 with a tail alone."""
    text, path = folder / "text.txt", folder / f"kept-{ratio}.kvc"
    text.write_text(TEXT)
    subprocess.run([limbeck, "compact", "--quiet", "--model", model, "-f", text, "-o", path, "--ratio", ratio],
                   check=True, stdout=subprocess.DEVNULL)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", required=True, help="the program limbeck")
    parser.add_argument("--model", type=pathlib.Path)
    args = parser.parse_args()
    if not args.model:
        print("skipped: no model to write caches with; `make setup` fetches the default one")
        return 77
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        files = [compacted(args.tool, args.model, folder, ratio) for ratio in ("0.25", "1")]
        bad = []
        for file in files:
            print(f"--- {file.name}")
            if kvc_reader.main(str(file)) != 0:
                bad.append(file.name)
    print(f"{len(files)} files read, {len(bad)} with problems" + "".join(f"\n  {name}" for name in bad))
    return 1 if bad or not files else 0


if __name__ == "__main__":
    sys.exit(main())
