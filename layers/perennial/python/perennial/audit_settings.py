"""What `[audit]` of perennial.toml says: how long the checkpoints of the audit trail are locked away."""

from __future__ import annotations

from dataclasses import dataclass

from perennial.settings_table import Table

MAX_RETENTION = 36_500  # days; Object Lock takes up to a hundred years (S3 user guide, "Object Lock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """`[audit]`. The retention of a checkpoint that lies in the bucket can be made longer, and never shorter."""

    retention_days: int = 400


def audit(table: Table) -> Audit:
    """`[audit]`."""
    return table.done(
        lambda: Audit(retention_days=table.number("retention_days", Audit().retention_days, 1, MAX_RETENTION))
    )
