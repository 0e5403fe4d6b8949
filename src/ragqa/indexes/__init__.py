"""Term lists → lexical scores; one file per index."""
