"""Lambda layers, each unpacked once into the process's scratch directory."""

from __future__ import annotations

import hashlib
import io
import tempfile
import threading
import zipfile
from pathlib import Path

_lock = threading.Lock()


def directory(archive: bytes) -> Path:
    """The directory with the content of a layer; it is named by the archive's digest and made at first use."""
    target = Path(tempfile.gettempdir()) / "layers" / hashlib.sha256(archive).hexdigest()
    with _lock:
        if not target.exists():
            _unpack(archive, target)
    return target


def _unpack(archive: bytes, target: Path) -> None:
    """Unpack beside the target and rename, so that a directory that exists is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=target.parent))
    with zipfile.ZipFile(io.BytesIO(archive)) as content:
        content.extractall(scratch)
    scratch.rename(target)
