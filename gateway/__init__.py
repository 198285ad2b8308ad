"""The transports: HTTP and sockets in, operations called, bytes out."""
