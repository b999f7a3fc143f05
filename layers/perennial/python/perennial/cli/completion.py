"""`perennial completion`: the script with which a shell completes commands and options (click's own)."""

from __future__ import annotations

import click

from perennial.cli import options

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_PERENNIAL_COMPLETE"


@click.command(
    epilog=options.example(
        "perennial completion bash > ~/.local/share/bash-completion/completions/perennial",
        'perennial completion zsh > "${fpath[1]}/_perennial"',
        "perennial completion fish > ~/.config/fish/completions/perennial.fish",
        'eval "$(perennial completion bash)"     # this shell alone',
    )
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion of commands and options for a SHELL."""
    from click.shell_completion import get_completion_class

    from perennial.cli.program import program

    made = get_completion_class(shell)
    assert made
    click.echo(made(program, {}, "perennial", VARIABLE).source())
