"""Deploys a registered version: endpoint, live record, SQL functions; and changes what is live."""
