"""A file to documents: each file of this folder reads one family of formats.

A loader is a module with ``SUFFIXES`` and ``load(path, doc_id)``; adding a format is adding a file.
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

Load = Callable[[Path, str], Iterator[Document]]


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


def iterate_documents(path: Path, doc_id: str) -> Iterator[Document]:
    """The documents of a file that hold text, one at a time.

    Raises:
        DocumentError: the file cannot be read or holds no text; the message begins with its name. Every fault
            of a format library ends here, whatever its type, but MemoryError.
    """
    empty = True
    try:
        if path.stat().st_size == 0:
            raise DocumentError("is empty")
        for document in loader_for(path.suffix)(path, doc_id):
            if document.text.strip():
                empty = False
                yield document
        if empty:
            raise DocumentError("holds no text")
    except DocumentError as error:
        named = f"{readable(path)}: {error.found}"
        raise DocumentError(named, accepted=error.accepted, next_step=error.next_step) from error
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


def load_document_file(path: Path, doc_id: str) -> list[Document]:
    """Every document of a file that holds text, in order.

    Raises:
        DocumentError: as ``iterate_documents``.
    """
    return list(iterate_documents(path, doc_id))
