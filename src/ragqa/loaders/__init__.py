"""A file to documents: each file of this folder reads one family of formats.

A loader is a module with ``SUFFIXES`` and ``load(path, doc_id)``; adding a format is adding a file. For each part of a
file that it has to leave out it yields the fault, and goes on.
"""

import ast
import importlib
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import cast

from ragqa.errors import DocumentError
from ragqa.paths import readable
from ragqa.types import Document

MAX_FAULTS = 1000
"""Bad parts of one file beyond which it is taken to be of another kind than its name says."""

Load = Callable[[Path, str], Iterator[Document | DocumentError]]


@lru_cache(maxsize=1)
def _modules() -> Mapping[str, str]:
    """Suffix → loader, read from the source of each loader: none is imported for the listing."""
    table: dict[str, str] = {}
    for file in sorted(Path(__file__).parent.glob("[!_]*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if (
                isinstance(node, ast.AnnAssign | ast.Assign)
                and "SUFFIXES" in ast.unparse(node).split(" =")[0]
            ):
                table |= dict.fromkeys(ast.literal_eval(cast(ast.expr, node.value)), file.stem)
    return table


def supported_suffixes() -> list[str]:
    """Every suffix that some loader reads, in lower case, sorted."""
    return sorted(_modules())


def loader_for(suffix: str) -> Load:
    """The ``load`` function for a suffix; imports that loader only.

    Raises:
        DocumentError: no loader reads the suffix.
    """
    name = _modules().get(suffix.lower())
    if name is None:
        raise DocumentError(
            f"has the unsupported format {suffix or 'without a suffix'}",
            accepted=" ".join(supported_suffixes()),
        )
    return cast(Load, importlib.import_module(f"ragqa.loaders.{name}").load)


def iterate_documents(path: Path, doc_id: str) -> Iterator[Document | DocumentError]:
    """The documents of a file that hold text, one at a time, and a fault for each part that cannot be read.

    Raises:
        DocumentError: the file cannot be read or holds no text; the message begins with its name. Every fault
            of a format library ends here, whatever its type, but MemoryError.
    """
    empty = True
    faults: list[DocumentError] = []
    try:
        if path.stat().st_size == 0:
            raise DocumentError("is empty")
        for part in loader_for(path.suffix)(path, doc_id):
            if isinstance(part, DocumentError):
                faults.append(part)
                if len(faults) > MAX_FAULTS:
                    raise DocumentError(f"has more than {MAX_FAULTS:,} bad parts; the first: {faults[0]}")
                yield _named(path, part)
            elif part.text.strip():
                empty = False
                yield part
        if empty:
            raise faults[0] if faults else DocumentError("holds no text")
    except DocumentError as error:
        raise _named(path, error) from error
    except OSError as error:
        raise DocumentError(f"{readable(path)}: cannot be opened ({error.strerror or error})") from error
    except MemoryError:
        raise
    except ImportError as error:
        raise DocumentError(
            f"{readable(path)}: needs the package {error.name}", next_step=f"pip install {error.name}"
        ) from error
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise DocumentError(
            f"{readable(path)}: cannot be read as {path.suffix[1:].upper()} ({type(error).__name__}: {said})",
            next_step="open it in the program it comes from and save it again",
        ) from error


def _named(path: Path, fault: DocumentError) -> DocumentError:
    return DocumentError(
        f"{readable(path)}: {fault.found}", accepted=fault.accepted, next_step=fault.next_step
    )


def load_document_file(path: Path, doc_id: str) -> list[Document]:
    """Every document of a file that holds text, in order, whatever had to be left out.

    Raises:
        DocumentError: as ``iterate_documents``.
    """
    return [part for part in iterate_documents(path, doc_id) if isinstance(part, Document)]
