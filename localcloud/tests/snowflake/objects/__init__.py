"""Schema objects: what CREATE, ALTER, SHOW, DESCRIBE and DROP promise for each kind."""
