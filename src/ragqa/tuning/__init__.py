"""Which weights train: one file per method, chosen by ``tuning: {name: …}``; each takes any encoder of transformers."""
