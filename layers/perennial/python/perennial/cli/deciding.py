"""Deciding on what was shown: a request, an exception."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from perennial.cli.api_client import Api
from perennial.errors import InvalidInput
from perennial.roles import Action

Document = Mapping[str, Any]


def confirmed(question: str, otherwise: str) -> None:
    """Nothing, where somebody at the terminal says yes. `otherwise`: what to do where nobody is there.

    Raises: InvalidInput; Abort.
    """
    if not at_terminal():
        raise InvalidInput(f"nobody is at a terminal to be asked: {otherwise}")
    click.confirm(question, abort=True, err=True)


def at_terminal() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty()


def decide(asked: Api, subject: tuple[str, str], what: str, action: Action, reason: str, **more: str) -> Document:
    """Decide; `subject` is kind and id. Returns what has become of it.

    What is asked never changes, and its ETag does as people are told of it: a decision does not depend on that.
    """
    body = {**more, **({"reason": reason} if reason else {})}
    return asked.post(*subject, what, action=action, body=body).document
