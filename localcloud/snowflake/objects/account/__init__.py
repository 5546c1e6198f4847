"""Roles, warehouses, grants, USE, ALTER SESSION."""
