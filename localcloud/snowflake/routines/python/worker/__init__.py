"""The process that runs one handler. It exchanges frames over standard input and output and does not depend on the
server."""
