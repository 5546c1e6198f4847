"""What an account keeps in addition to data: roles, databases, grants, parameters, history, INFORMATION_SCHEMA."""
