"""`python -m archer_bridge` is the `archer` command."""

from archer_bridge.cli.main import run

if __name__ == "__main__":
    run()
