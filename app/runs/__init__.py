"""A run: its identity, its ledger of finished stages, and the stage as a value."""
