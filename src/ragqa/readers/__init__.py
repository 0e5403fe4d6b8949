"""Hits → answer; one file per kind of reader."""
