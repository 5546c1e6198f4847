"""The process that runs one handler: it speaks frames over its standard input and output and knows nothing of the server."""
