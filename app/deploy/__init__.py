"""Version to endpoint and SQL function."""
