"""One ACME request at a time (RFC 8555 6): signed with `acme`'s JWS, sent once, its reply judged before it is read.

`acme.client` is not used: its network follows redirects, reads bodies whole and writes JWS to its log; its helpers
sleep. The directory and the nonce are given and taken, so that a step in a new process makes no request more.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from perennial.errors import InvalidReply
from perennial.issuers import acme_problem
from perennial.issuers.acme_http import Answer, Http
from perennial.issuers.acme_problem import Problem
from perennial.issuers.acme_reading import Fields, Origins, bounded, json_object, origins, token
from perennial.profiles import AcmeIssuer

if TYPE_CHECKING:
    from josepy.jwk import JWKEC

NONCE_TRIES = 10  # requests with a fresh nonce each, before the server is taken to be out of order
MAX_JSON = 1_000_000  # bytes
MAX_CHAIN = 256 * 1024  # bytes of PEM
JSON = "application/json"
PROBLEM = "application/problem+json"
PEM_CHAIN = "application/pem-certificate-chain"
_ALTERNATE = re.compile(r';\s*rel\s*=\s*"?alternate"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """A CA's directory (RFC 8555 7.1.1): its URLs, "" for what it does not have."""

    new_nonce: str
    new_account: str
    new_order: str
    revoke: str = ""
    key_change: str = ""
    renewal_info: str = ""  # RFC 9773 4.1
    account_bound: bool = False  # it requires an external account (7.3.4)
    profiles: tuple[str, ...] = ()  # draft-ietf-acme-profiles


def read_directory(fields: Fields) -> Directory:
    """Raises: InvalidReply."""
    meta = fields.of("meta")
    return Directory(
        new_nonce=fields.url("newNonce"),
        new_account=fields.url("newAccount"),
        new_order=fields.url("newOrder"),
        revoke=fields.optional_url("revokeCert"),
        key_change=fields.optional_url("keyChange"),
        renewal_info=fields.optional_url("renewalInfo"),
        account_bound=meta.flag("externalAccountRequired"),
        profiles=tuple(bounded(name, 100) for name in meta.of("profiles").values)[:50],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signs: an account, or a key that has no account yet (`url` is "")."""

    key: JWKEC = field(repr=False)
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A server's answer that is a success, or a refusal that the caller expected (`problem`)."""

    answer: Answer
    doing: str  # what was asked, for messages
    origins: Origins
    problem: Problem | None = None
    retry_after: float | None = None  # seconds

    def read(self) -> Fields:
        """The JSON object.

        Raises: InvalidReply.
        """
        self._of_type(JSON)
        return Fields(where=self.doing, values=json_object(self.answer.body, self.doing), origins=self.origins)

    def pem(self) -> bytes:
        """The PEM text of a certificate chain.

        Raises: InvalidReply.
        """
        self._of_type(PEM_CHAIN)
        return self.answer.body

    @property
    def location(self) -> str:
        """The URL of what was created or found.

        Raises: InvalidReply.
        """
        return self.origins.url(self.answer.headers.get("location"), f"{self.doing}: Location")

    def alternates(self, most: int) -> tuple[str, ...]:
        """The URLs of the other chains (RFC 8555 7.4.2).

        Raises: InvalidReply.
        """
        links = (part.partition(">") for part in self.answer.headers.get("link", "").split("<")[1:])
        found = [url for url, _, about in links if _ALTERNATE.search(about)]
        return tuple(self.origins.url(url, f"{self.doing}: Link") for url in found[:most])

    def _of_type(self, expected: str) -> None:
        if self.answer.content_type != expected:
            found = bounded(self.answer.content_type, 60) or "no content type"
            raise InvalidReply(f"{self.doing}: the reply is {found}, not {expected}")


class Network:
    """The conversation with one CA during one step. `directory` and `nonce` may come from an earlier step."""

    def __init__(
        self,
        http: Http,
        settings: AcmeIssuer,
        *,
        now: datetime | None = None,
        directory: Directory | None = None,
        nonce: str = "",
    ) -> None:
        self.settings = settings
        self.origins = origins(settings)
        self.nonce = nonce
        self._http = http
        self._now = now
        self._directory = directory

    @property
    def directory(self) -> Directory:
        """The CA's directory: asked for when it is needed first.

        Raises: PerennialError.
        """
        if self._directory is None:
            self._directory = read_directory(self.get(self.settings.directory, "directory").read())
        return self._directory

    @property
    def known_directory(self) -> Directory | None:
        """The directory as far as it was asked for."""
        return self._directory

    def get(self, url: str, what: str, *, tolerate: Collection[str] = ()) -> Reply:
        """One request without a signature: only the directory and renewal information take these.

        Raises: PerennialError.
        """
        answer = self._http.send("GET", url, body=None, headers={"Accept": JSON}, limit=MAX_JSON)
        return self._judged(self._reply(answer, what), tolerate)

    def post(
        self,
        url: str,
        payload: bytes,
        signer: Signer,
        what: str,
        *,
        accept: str = JSON,
        tolerate: Collection[str] = (),
    ) -> Reply:
        """One signed request; a payload of b"" only reads (POST-as-GET, RFC 8555 6.3). It is repeated with a fresh
        nonce while the server refuses the nonce (6.5), which changes nothing there.

        `tolerate` has codes of problems, and statuses as "404", that the caller handles itself.

        Raises: PerennialError.
        """
        for _ in range(NONCE_TRIES):
            reply = self._posted(url, payload, signer, what, accept)
            if reply.problem is None or reply.problem.code != "badNonce":
                break
        return self._judged(reply, tolerate)

    def _posted(self, url: str, payload: bytes, signer: Signer, what: str, accept: str) -> Reply:
        body = sign(payload, signer, url, self._take_nonce())
        headers = {"Content-Type": "application/jose+json", "Accept": accept}
        limit = MAX_CHAIN if accept == PEM_CHAIN else MAX_JSON
        return self._reply(self._http.send("POST", url, body=body, headers=headers, limit=limit), what)

    def _take_nonce(self) -> str:
        """A nonce for one request: the latest reply's, else a new one."""
        if not self.nonce:
            answer = self._http.send("HEAD", self.directory.new_nonce, body=None, headers={}, limit=MAX_JSON)
            self._judged(self._reply(answer, "newNonce"), ())
        if not self.nonce:
            raise InvalidReply(f"{self.settings.name}: newNonce: the reply has no Replay-Nonce")
        taken, self.nonce = self.nonce, ""
        return taken

    def _reply(self, answer: Answer, what: str) -> Reply:
        self._keep_nonce(answer)
        doing = f"{self.settings.name}: {what}"
        return Reply(
            answer=answer,
            doing=doing,
            origins=self.origins,
            problem=None if 200 <= answer.status < 300 else self._problem(answer, doing),
            retry_after=acme_problem.retry_after(answer.headers, self._now),
        )

    def _keep_nonce(self, answer: Answer) -> None:
        """Keep a reply's nonce; one that is none is ignored (RFC 8555 6.5.1)."""
        try:
            self.nonce = token(answer.headers.get("replay-nonce", ""), "Replay-Nonce")
        except InvalidReply:
            self.nonce = ""

    def _problem(self, answer: Answer, doing: str) -> Problem:
        """What a refusal says; a problem with the code "" where it is no problem document."""
        nothing = Problem(code="", detail="", status=answer.status)
        if answer.content_type not in (PROBLEM, JSON) or not answer.body or not 400 <= answer.status < 600:
            return nothing
        try:
            values = json_object(answer.body, doing)
        except InvalidReply:
            if answer.status >= 500:  # a fault of the server: what it could not say does not matter
                return nothing
            raise
        fields = Fields(where=doing, values=values, origins=self.origins)
        return acme_problem.read_problem(fields, answer.status)

    def _judged(self, reply: Reply, tolerate: Collection[str]) -> Reply:
        problem = reply.problem
        if problem is None or (problem.code and problem.code in tolerate) or str(problem.status) in tolerate:
            return reply
        if not problem.code and not problem.detail:
            raise acme_problem.undocumented(reply.answer, reply.doing, reply.retry_after)
        raise acme_problem.meaning(problem, reply.doing, reply.retry_after)


def sign(payload: bytes, signer: Signer, url: str, nonce: str | None) -> bytes:
    """A JWS (RFC 8555 6.2) in ES256; `nonce` is None for the one inside a key change (7.3.5)."""
    from acme.jws import JWS
    from josepy.b64 import b64decode
    from josepy.jwa import ES256

    raw = b64decode(nonce) if nonce is not None else None
    signed: str = JWS.sign(payload, signer.key, ES256, raw, url, signer.url or None).json_dumps()
    return signed.encode()
