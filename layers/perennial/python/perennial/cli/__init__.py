"""The `perennial` command. Each command is a module, loaded when it is called."""

from __future__ import annotations


def main() -> None:
    """The entry point. Exit codes: 0 fine, 1 findings at --fail-on, 2 it could not be done, 130 interrupted."""
    import gc

    from perennial.cli.program import program

    gc.set_threshold(100_000)  # a command keeps what it makes until it ends: looking for garbage costs a tenth of it
    program.main()
