"""How a test tells what it counted: `record_property(f"{COUNTED}Discovery", 94)`; told at the end of all tests."""

from __future__ import annotations

COUNTED = "interrupted at "
