"""The scripted places of a living world: each serves what it was given last, and fails as it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from perennial.errors import AccessDenied, NotFound, PerennialError, Unavailable
from perennial.keys import from_pem, public_sha256
from perennial.targets.interface import Bundle, Found, TargetSettings
from rolling import Place, Scripted, ScriptedKind

PLACE_MODES: Mapping[str, tuple[frozenset[str], Callable[[], PerennialError]]] = {  # methods that fail, and how
    "denied": (frozenset({"activate"}), lambda: AccessDenied("elasticloadbalancing:ModifyListener is denied")),
    "unavailable": (frozenset({"look", "activate", "restore"}), lambda: Unavailable("the place does not answer")),
    "gone": (frozenset({"look", "activate", "restore"}), lambda: NotFound("the listener is gone")),
}
DEAF = "deaf"  # the change is taken, and handshakes go on to show what was there


@dataclass
class LivingPlace(Place):
    """A place that fails for as long as its `mode` says. `held` is whose key it has; `foreign` what was there first."""

    mode: str = ""
    foreign: str = ""

    def fail(self, method: str) -> None:
        methods, error = PLACE_MODES.get(self.mode, (frozenset(), lambda: NotFound("")))
        if method in methods:
            raise error()

    def put(self, fingerprint: str) -> None:
        self.told = fingerprint
        if self.mode != DEAF:
            self.serves = fingerprint

    def cured(self) -> None:
        """It works again, and serves what it was told last."""
        self.mode, self.serves = "", self.told


class _Target(Scripted):
    """Takes nothing whose key is not the certificate's."""

    def activate(self, found: Found, new: Bundle, placed: str, keep: Callable[[str], None]) -> Any:
        _fits(new)
        return super().activate(found, new, placed, keep)

    def restore(self, found: Found, new: Bundle, placed: str, earlier: Bundle | None) -> Any:
        place = self.place
        assert isinstance(place, LivingPlace)
        if found.fingerprint != place.foreign:
            assert earlier is not None, "a managed version is brought back without its material"
            _fits(earlier)
        return super().restore(found, new, placed, earlier)


def _fits(bundle: Bundle) -> None:
    held = public_sha256(from_pem(bundle.private_key).public_key())
    assert held == bundle.certificate.public_key_sha256, f"{bundle.reference} came with another key"


class LivingKind(ScriptedKind):
    RETIRES: tuple[str, ...] = ()

    def target(self, settings: TargetSettings, reach: Any) -> Scripted:
        return _Target(self.places[settings.name])
