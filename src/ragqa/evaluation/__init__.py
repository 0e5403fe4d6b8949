"""Measures: pure functions over predictions and gold answers."""
