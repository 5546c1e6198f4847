"""Event tables: made, named as the account's, and filled with what handlers of functions and procedures log."""
