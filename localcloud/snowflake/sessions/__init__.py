"""Accounts and sessions: identity, current objects, connection, transaction, query history."""
