"""One loop for every model; objective and data are values passed into it."""
