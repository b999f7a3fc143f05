"""One run for all of its moments: at each of them the process is copied, and in the copy something else happens there.

    def life(now: Callable[[], bool]) -> str:       # one whole run, and what must hold at its end
        ...                                         # asks `now()` at each moment; there it is true, once, in a copy
    ends = in_copies(life)                          # what each copy returned; the first that fails is raised

What leads to a moment runs once, and not once for each. Only the thread that asks goes on in a copy: runs that leave
work to other threads have to be made anew for each moment.
"""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

Told = TypeVar("Told")
LONGEST = 60  # seconds that a copy may take


class _Copies:
    def __init__(self, every: int, first: int) -> None:
        self.every, self.first = every, first
        self.number = 0
        self.told: list[Any] = []
        self.pipe: int | None = None  # to the process that this one is a copy of

    def now(self) -> bool:
        """Whether it happens here: never but in a copy that this makes."""
        if self.pipe is not None:
            return False
        self.number += 1
        if self.number < self.first or (self.number - self.first) % self.every:
            return False
        for each in (sys.stdout, sys.stderr):
            each.flush()
        read, write = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(read)
            self.pipe = write
            return True
        os.close(write)
        self.told.append(self._heard(process, read))
        return False

    def _heard(self, process: int, read: int) -> Any:
        """What a copy returned.

        Raises: AssertionError: with the copy's traceback.
        """
        with os.fdopen(read, "rb") as pipe:
            if not select.select([pipe], [], [], LONGEST)[0]:
                os.kill(process, signal.SIGKILL)
            answer = pipe.read()
        _, status = os.waitpid(process, 0)
        assert answer, f"the copy at moment {self.number} ended without a word ({status})"
        well, found = pickle.loads(answer)
        assert well, f"at moment {self.number}:\n{found}"
        return found

    def tell(self, well: bool, found: Any) -> NoReturn:
        """Tell the process that this one is a copy of, and end."""
        assert self.pipe is not None
        try:
            with os.fdopen(self.pipe, "wb") as pipe:
                pipe.write(pickle.dumps((well, found)))
        finally:
            os._exit(0)


def in_copies(run: Callable[[Callable[[], bool]], Told], *, every: int = 1, first: int = 1) -> list[Told]:
    """Run once, and once more from each moment on (or from each `every`th, beginning with the `first`)."""
    copies = _Copies(every, first)
    gc.collect()
    gc.freeze()  # what is here now is shared with the copies
    try:
        found = run(copies.now)
    except BaseException:
        if copies.pipe is not None:
            copies.tell(False, traceback.format_exc())
        raise
    finally:
        gc.unfreeze()
    if copies.pipe is not None:
        copies.tell(True, found)
    return copies.told
