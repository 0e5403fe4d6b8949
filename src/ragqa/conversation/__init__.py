"""Conversations over an index: asked turn by turn, kept in a file, judged by their reader."""
