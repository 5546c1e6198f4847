"""SQL text, tokens, names, types and values, before anything runs."""
