"""Account objects: users, roles, warehouses and grants, and the statements USE and ALTER SESSION."""
