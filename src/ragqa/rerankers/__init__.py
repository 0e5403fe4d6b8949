"""Hits → better hits."""
