"""Versions of managed certificates, and the http-01 challenges that are shown for them."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from perennial.audit_event import Event
from perennial.certificate import ders
from perennial.certificate_request import CertificateRequest
from perennial.errors import InvalidInput, NotFound
from perennial.inventory import conversion
from perennial.inventory.audit import Trail
from perennial.inventory.items import Item, stamp, time_of
from perennial.inventory.observations import Observations
from perennial.inventory.records import Due, DueKind, VersionRecord, VersionState
from perennial.inventory.writing import update
from perennial.solvers.interface import Challenge, Shown

VERSION = "VERSION#"
CHALLENGE = "CHALLENGE"
MANY = 100  # versions of one managed certificate that are listed


class Versions(Observations, Trail):
    """The part of the inventory that issuance uses."""

    def request_version(
        self,
        managed: str,
        request: CertificateRequest,
        issuer: str,
        now: datetime,
        event: Callable[[VersionRecord], Event] | None = None,
    ) -> VersionRecord:
        """Keep a request as the next version of a managed certificate, due at once. `event` makes the audit event of
        it, which is kept in the same transaction.

        Raises: ConcurrentChange when another one took the number meanwhile.
        """
        latest = next(iter(self.versions(managed, limit=1)), None)
        record = VersionRecord(
            managed=managed,
            number=latest.number + 1 if latest else 1,
            request=request,
            state=VersionState.REQUESTED,
            ask=secrets.token_hex(16),
            issuer=issuer,
            requested_at=now,
        )
        self.remember("managed", managed)
        return self.save_version(record, now, event(record) if event else None)

    def save_version(self, record: VersionRecord, due: datetime | None, event: Event | None = None) -> VersionRecord:
        """Write a version as it is now, with the audit event of that in the same transaction; `due`: when the tick is
        to look at it. Returns it with its new revision.

        Raises: ConcurrentChange when it was written since it was read.
        """
        item = _item(replace(record, due_at=due), record.revision + 1)
        unchanged = Item.revision == record.revision if record.revision else Item.pk.does_not_exist()
        self.put(item, unchanged, record.reference, event)
        return replace(record, revision=record.revision + 1, due_at=due)

    def version(self, reference: str) -> VersionRecord:
        """A version by its reference.

        Raises: NotFound, InvalidInput.
        """
        managed, number = parsed(reference)
        for item in Item.query(managed_key(managed), Item.sk == _version_key(number), consistent_read=True):
            return _record(item)
        raise NotFound(f"there is no version {reference[:100]}; perennial managed list shows what there is")

    def versions(self, managed: str, limit: int = MANY) -> list[VersionRecord]:
        """The versions of a managed certificate, the newest first."""
        query = Item.query(
            managed_key(managed),
            Item.sk.startswith(VERSION),
            consistent_read=True,
            scan_index_forward=False,
            limit=limit,
        )
        return [_record(item) for item in query]

    def managed(self) -> Iterator[str]:
        """The managed certificates, by name."""
        for item in Item.query("WORD#managed", page_size=MANY):
            yield item.sk

    def started(self, due: Due, again: datetime) -> None:
        """The workflow of what is due was started; look at it `again` then, unless a step says otherwise."""
        later = Item.due_at.set(conversion.due_stamp(again))
        update((due.pk, due.sk), [later], Item.due_at == due.due_at)

    def show_challenge(self, token: str, content: str, expires_at: int) -> None:
        """Show a file under /.well-known/acme-challenge/ until it is hidden, or until a time (seconds since 1970)."""
        Item(f"CHALLENGE#{token}", CHALLENGE, kind="challenge", content=content, expires_at=expires_at).save()

    def shown_challenge(self, token: str) -> str | None:
        """The content of such a file; None where there is none."""
        for item in Item.query(f"CHALLENGE#{token}", Item.sk == CHALLENGE, consistent_read=True):
            return item.content
        return None

    def hide_challenge(self, token: str) -> None:
        """No longer show it."""
        Item(f"CHALLENGE#{token}", CHALLENGE).delete()


def parsed(reference: str) -> tuple[str, int]:
    """Managed certificate and number of a reference.

    Raises: InvalidInput.
    """
    managed, _, number = reference.rpartition("/")
    if not managed or not (number.isascii() and number.isdigit() and len(number) <= 6):
        raise InvalidInput(f"{reference[:100]!r} is not <managed certificate>/<number>")
    return managed, int(number)


def managed_key(managed: str) -> str:
    """The partition of everything that concerns a managed certificate."""
    return f"MANAGED#{managed}"


def _version_key(number: int) -> str:
    return f"{VERSION}{number:06}"


def _item(record: VersionRecord, revision: int) -> Item:
    item = Item(
        managed_key(record.managed),
        _version_key(record.number),
        kind="version",
        number=record.number,
        revision=revision,
        status=str(record.state),
        request=_request_text(record.request),
        ask=record.ask,
        issuer=record.issuer,
        attempted_at=stamp(record.requested_at),
        completed_at=stamp(record.issued_at) if record.issued_at else None,
        key=record.key or None,
        days=record.validity_days or None,
        csr=record.csr or None,
        order=record.order or None,
        challenges=_challenges_text(record.challenges),
        progress=json.dumps(_progress(record)),
        chain=_pem(record.chain) or None,
        arn=record.arn or None,
        secret=record.secret or None,
        secret_version=record.secret_version or None,
        key_arn=record.key_arn or None,
        fingerprint=record.fingerprint or None,
        attempts=record.attempts,
        reason=record.reason or None,
        detail=record.message or None,
    )
    if record.due_at:
        item.due_key = conversion.due_key(DueKind.ISSUE, record.reference)
        item.due_at = conversion.due_stamp(record.due_at)
    return item


def _progress(record: VersionRecord) -> dict[str, Any]:
    """What has no attribute of its own."""
    kept = {"tokens": record.tokens, "visible": record.visible, "covered": record.covered}
    return {**kept, "revoked_at": stamp(record.revoked_at)} if record.revoked_at else kept


def _record(item: Item) -> VersionRecord:
    progress = json.loads(item.progress or "{}")
    tokens = progress.get("tokens")
    return VersionRecord(
        managed=item.pk.removeprefix("MANAGED#"),
        number=int(item.number),
        request=_request(item.request),
        state=VersionState(item.status),
        ask=item.ask,
        issuer=item.issuer,
        requested_at=time_of(item.attempted_at),
        revision=int(item.revision),
        key=item.key or "",
        validity_days=int(item.days or 0),
        csr=item.csr or b"",
        order=item.order or "",
        challenges=_challenges(item.challenges),
        tokens=None if tokens is None else tuple(tokens),
        visible=bool(progress.get("visible")),
        covered=tuple(progress.get("covered", ())),
        revoked_at=conversion.time(progress.get("revoked_at")),
        chain=tuple(ders(item.chain or "")),
        arn=item.arn or "",
        secret=item.secret or "",
        secret_version=item.secret_version or "",
        key_arn=item.key_arn or "",
        fingerprint=item.fingerprint or "",
        issued_at=conversion.time(item.completed_at),
        attempts=int(item.attempts or 0),
        reason=item.reason or "",
        message=item.detail or "",
        due_at=time_of(item.due_at.partition("#")[0]) if item.due_at else None,
    )


def _request_text(request: CertificateRequest) -> str:
    document: dict[str, Any] = {**asdict(request), "csr": base64.b64encode(request.csr).decode()}
    return json.dumps(document)


def _request(text: str) -> CertificateRequest:
    document = json.loads(text)
    names, csr = tuple(document.pop("names")), base64.b64decode(document.pop("csr"))
    return CertificateRequest(names=names, csr=csr, **document)


def _challenges_text(challenges: tuple[Challenge, ...]) -> str | None:
    return json.dumps([asdict(each) for each in challenges]) if challenges else None


def _challenges(text: str | None) -> tuple[Challenge, ...]:
    return tuple(Challenge(**{**each, "shown": Shown(each["shown"])}) for each in json.loads(text or "[]"))


def _pem(chain: tuple[bytes, ...]) -> str:
    return "".join(
        f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(each).decode()}-----END CERTIFICATE-----\n" for each in chain
    )
