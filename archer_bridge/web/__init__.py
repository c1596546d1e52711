"""HTTP and WebSocket routes: requests in, calls out."""
