"""Child process: a model that the user named → a local folder. The only place that may use a network.

python -m ragqa.runtimes.fetch OWNER/NAME FOLDER
"""

import os
import shutil
import sys
from pathlib import Path

WANTED = ("*.json", "*.txt", "*.safetensors", "*.model")
"""Configuration, tokenizer and safetensors weights; pickled weights and code are never taken."""


def fetch(name: str, folder: Path) -> None:
    """Download ``name`` beside ``folder`` and rename it into place once it is whole."""
    from huggingface_hub import snapshot_download

    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    try:
        snapshot_download(name, local_dir=partial, allow_patterns=list(WANTED))
        shutil.rmtree(partial / ".cache", ignore_errors=True)  # the hub's own notes on the download
        if folder.exists():  # another process was quicker
            return
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def main(arguments: list[str]) -> int:
    name, folder = arguments
    try:
        fetch(name, Path(folder))
    except Exception as error:  # the hub raises many kinds; the asking process shows the one line
        reason = " ".join(str(error).split()) or type(error).__name__
        print(reason[:300], file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
