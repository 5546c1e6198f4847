"""What is measured: the limit without a server, points in interleaved rounds, overload, and where the CPU time goes."""
