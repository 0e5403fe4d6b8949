"""Question answering over a folder of documents: offline, cited, and honest about what it does not know."""

__version__ = "0.1.0"
