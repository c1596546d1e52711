"""One module a schema version, frozen once released."""
