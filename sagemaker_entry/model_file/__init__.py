"""A saved booster from elsewhere: its structure is checked, and it is tried in a process of its own, before it scores."""
