"""Vectors → nearest rows; one file per store."""
