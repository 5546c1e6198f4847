"""The process that runs one handler. It exchanges messages over its standard input and output and knows nothing of the server."""
