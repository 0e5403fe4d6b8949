"""What keeps old skills while a model learns new ones: one file per strategy, chosen by ``continual: {name: …}``."""
