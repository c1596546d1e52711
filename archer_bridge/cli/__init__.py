"""The `archer` command, one module a subcommand; heavy imports happen inside the commands."""
