"""What can be trained: a file for each, with one function ``task(run, split, report)``."""
