"""Everything that can go wrong for a user, drawn once.

RagqaError                   a mistake or a fault outside the code; printed as one line, exit code 1
├── UsageError               an argument that cannot be meant (empty question, top_k 0); exit code 2
├── ConfigError              a configuration file or ``--set`` that does not fit
│   └── PluginError          a name or an option that no plugin of that folder has
├── DocumentError            a document that cannot be read: skipped, named and counted
├── DataError                a data set whose records do not fit their format
├── IndexError_              anything about a stored index
│   ├── IndexMissing         there is no index at that place
│   ├── IndexDamaged         a file of the index is missing or its checksum differs
│   ├── IndexMismatch        made by another encoder, analysis or format version
│   └── IndexLocked          another process is writing to the index
├── ConversationError        a conversation that another process holds, or whose file cannot be written
├── ModelError               weights that are missing, damaged or of another kind
├── WritingError             what a model wrote will not do
├── EndpointError            a server that writes answers does not answer, or with something else
└── TrainingError            data or settings from which nothing can be learned

Each message says what was found, what is accepted and what to do next. Mistakes of the programmer raise
ordinary exceptions.
"""

import re
from collections.abc import Mapping


class RagqaError(Exception):
    """A mistake or fault that the user can act on."""

    exit_code = 1

    def __init__(self, found: str, *, accepted: str = "", next_step: str = "") -> None:
        self.found = found
        self.accepted = accepted
        self.next_step = next_step
        super().__init__(found)

    def __str__(self) -> str:
        parts = [self.found]
        if self.accepted:
            parts.append(f"accepted: {self.accepted}")
        if self.next_step:
            parts.append(f"try: {self.next_step}")
        # A full stop before "; " reads badly, but the last dot of a path or a pattern belongs to it.
        return "; ".join(re.sub(r"(?<=\w)[.;]+$", "", part) for part in parts)


class UsageError(RagqaError):
    """An argument that cannot be meant."""

    exit_code = 2


class ConfigError(RagqaError):
    """A configuration that does not fit the schema."""

    exit_code = 2


class PluginError(ConfigError):
    """A plugin name or option that does not exist."""


class DocumentError(RagqaError):
    """A document that cannot be read."""


class DataError(RagqaError):
    """A data set whose records do not fit their format."""


class IndexError_(RagqaError):  # noqa: N801 (IndexError is Python's)
    """Anything about a stored index."""


class IndexMissing(IndexError_):
    """There is no index at that place."""


class IndexDamaged(IndexError_):
    """A file of the index is missing or has another checksum."""


class IndexMismatch(IndexError_):
    """The index was made by another encoder, analysis or format version."""


class IndexLocked(IndexError_):
    """Another process is writing to the index."""


class ConversationError(RagqaError):
    """A conversation that another process holds, or whose file cannot be written."""


class ModelError(RagqaError):
    """Model weights that are missing, damaged or of another kind."""


class WritingError(RagqaError):
    """What a model wrote will not do, which says nothing of the documents."""


class EndpointError(RagqaError):
    """A server that does not answer, or with something else."""


class TrainingError(RagqaError):
    """Data or settings from which nothing can be learned."""


def said(detail: Mapping[str, object]) -> str:
    """What pydantic says of one value (an item of ``ValidationError.errors()``), in the words of YAML and JSON."""
    text = str(detail["msg"]).removeprefix("Value error, ")
    return text.replace("a valid tuple", "a list").replace("a valid dictionary", "a mapping")


def wanted(detail: Mapping[str, object]) -> str | None:
    """What a value should be, where that is all that pydantic says of it."""
    words, should_be = said(detail), "Input should be "
    return words.removeprefix(should_be) if words.startswith(should_be) else None
