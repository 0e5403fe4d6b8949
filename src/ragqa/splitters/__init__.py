"""Documents to passages; each file of this folder is one way to cut."""
