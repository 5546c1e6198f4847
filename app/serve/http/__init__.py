"""HTTP: sockets, heads and bodies, the routes and their answers, errors as problem documents."""
