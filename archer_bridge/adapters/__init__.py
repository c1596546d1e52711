"""What reaches the world outside: sockets, REST clients, databases, plugins, metrics."""
