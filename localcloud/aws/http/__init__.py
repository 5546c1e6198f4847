"""HTTP as AWS speaks it: the server, the protocols, the routing of requests to services."""
