"""What can be trained: a file for each, with ``examples(run, on_bad)`` and ``task(run, split, report)``."""
