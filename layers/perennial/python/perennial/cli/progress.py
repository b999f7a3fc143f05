"""What a person sees while a scan runs: a bar on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from perennial.manifest import Scope, Sighting

Watch = Callable[[Scope, Sighting | None], None]


@contextmanager
def shown(scopes: int, *, quiet: bool) -> Iterator[Watch]:
    """A watcher for a scan of so many scopes. The bar is drawn on stderr and cleared at the end."""
    if quiet or not sys.stderr.isatty():
        yield lambda scope, sighting: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(),
        TextColumn("{task.completed}/{task.total} scopes · {task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=5) as bar:
        yield _Watcher(bar, scopes)


class _Watcher:
    """Counts what the threads of a scan report."""

    def __init__(self, bar: object, scopes: int) -> None:
        from rich.progress import Progress

        assert isinstance(bar, Progress)
        self._bar = bar
        self._task = bar.add_task("starting", total=scopes)
        self._seen = 0
        self._lock = threading.Lock()

    def __call__(self, scope: Scope, sighting: Sighting | None) -> None:
        with self._lock:
            self._seen += sighting is not None
            text = f"{self._seen:,} certificates and attachments · {scope.source} {scope.region}"
            self._bar.update(self._task, description=text, advance=sighting is None)
