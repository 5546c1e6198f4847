"""Statements, transactions, locks and the transfer of results."""
