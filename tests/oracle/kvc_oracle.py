"""Reads our container files with kvc_reader.py, which knows the format from its document alone.

python tests/oracle/kvc_oracle.py --tool build/release/kvc_fuzz --limbeck build/release/limbeck [--model FILE.gguf]

The files are the fuzz target's seeds and, with a model, a cache that `limbeck compact` wrote. Exit code 1
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


def compacted(limbeck, model, folder):
    """A cache with a compacted segment and a verbatim rest."""
    text, path = folder / "text.txt", folder / "compacted.kvc"
    text.write_text(TEXT)
    subprocess.run([limbeck, "compact", "--quiet", "--model", model, "-f", text, "-o", path, "--ratio", "0.25"],
                   check=True, stdout=subprocess.DEVNULL)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--limbeck", required=True)
    parser.add_argument("--model", type=pathlib.Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        subprocess.run([args.tool, "--write-seeds", folder / "seeds"], check=True)
        files = sorted((folder / "seeds").iterdir())
        if args.model:
            files.append(compacted(args.limbeck, args.model, folder))
        bad = []
        for file in files:
            print(f"--- {file.name}")
            if kvc_reader.main(str(file)) != 0:
                bad.append(file.name)
    print(f"{len(files)} files read, {len(bad)} with problems" + "".join(f"\n  {name}" for name in bad))
    return 1 if bad or not files else 0


if __name__ == "__main__":
    sys.exit(main())
