"""Benchmark file → ``Example``; one file per format."""
