"""For all tests: none of them judges how long something took."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("perennial", deadline=None)
settings.load_profile("perennial")
