"""The peers' own environment, benchmarks/.peers-venv: made, and asked for its versions."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE / ".peers-venv"
PYTHON = FOLDER / "bin" / "python"
_REQUIREMENTS = HERE / "peers-requirements.txt"
_PACKAGES = (
    *("ragqa", "openvino", "torch", "transformers", "tokenizers", "faiss-cpu", "sentence-transformers"),
    *("langchain-core", "langchain-community", "langchain-huggingface", "llama-index-core", "txtai"),
    *("haystack-ai", "faiss-haystack"),
)
_ASK_VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def install() -> str:
    """Make the environment when it is missing or its list has changed; returns what could not be had, or ""."""
    done = FOLDER / "installed.txt"
    wanted = _REQUIREMENTS.read_text(encoding="utf-8")
    if done.is_file() and done.read_text(encoding="utf-8") == wanted:
        return ""
    print(f"installing the peers into {FOLDER}", file=sys.stderr)
    try:
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
        if not _pip("-r", str(_REQUIREMENTS)):
            # One package that cannot be had must not take the others with it.
            failed = [
                line for line in wanted.splitlines() if line and not line.startswith("#") and not _pip(line)
            ]
            if failed:
                return f"pip could not install {', '.join(failed)}"
    except (OSError, subprocess.CalledProcessError) as fault:
        return f"the peers' environment cannot be made: {fault}"
    done.write_text(wanted, encoding="utf-8")
    return ""


def _pip(*wanted: str) -> bool:
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return subprocess.run([*pip, *wanted], check=False).returncode == 0


def versions() -> dict[str, dict[str, str]]:
    """Versions of what was measured: ragqa's environment and the peers'."""
    found = {}
    for label, python in (("ragqa", Path(sys.executable)), ("peers", PYTHON)):
        if python.exists():
            command = [str(python), "-c", _ASK_VERSIONS, *_PACKAGES]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found[label] = json.loads(printed)
    return found
