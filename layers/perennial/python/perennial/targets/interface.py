"""What a target is: a place where a managed certificate must serve; how to look at it, change it, and change it back.

A rollout looks first and keeps what it found; it changes the target only after a preflight, proves what it changed, and
brings back what it found where the proof fails. Each method may be called again at any time, also after an
interruption in the midst of an earlier call: it looks at the place as it is now and goes on from there. None sleeps and
none asks a clock. Whoever serves at the place serves the earlier certificate or the new one, each with its own key and
chain, at every moment: each method changes what serves in one call to AWS.

Each kind is one file, which declares as constants what it needs (`targets/__init__.py` lists them).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from perennial.certificate import Certificate, pem

if TYPE_CHECKING:
    from perennial.clients import Clients
    from perennial.deployment import Deployment

HANDSHAKE, READ_BACK = "handshake", "read-back"  # how a target is proven
DEADLINE = 600  # seconds from activation to proof, where a kind declares no other


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Something that a kind of target needs to know: a text, or with `several` a list of texts.

    `pattern` is a regular expression that each text fits as a whole; `words` say what it is and, in errors, what is
    accepted. A field that is not `needed` is `default` (or empty) where it is left out.
    """

    name: str
    pattern: str
    words: str
    needed: bool = False
    several: bool = False
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """One target of a managed certificate, as it is declared.

    `fields` has every `Field` of its kind: a text, or a tuple of texts. `names` are host names that must serve the
    certificate here, () for all of the certificate's. `endpoints` (host:port) are where to connect for the proof, and
    not where the target's own name and the host names lead. `deadline` is in seconds.
    """

    kind: str
    name: str  # unique among the targets of its managed certificate
    managed: str = ""  # whose target it is
    account: str = ""  # "": the hub's
    region: str = ""  # "": the hub's
    names: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    proof: str = HANDSHAKE
    deadline: int = DEADLINE
    fields: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A field that is one text."""
        value = self.fields.get(name, "")
        return value if isinstance(value, str) else ""

    def texts(self, name: str) -> tuple[str, ...]:
        """A field that is a list of texts."""
        value = self.fields.get(name, ())
        return value if isinstance(value, tuple) else ()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Bundle:
    """A version of a managed certificate with its material. Neither its text nor any error shows the key.

    `chain` are the certificates above the leaf, in order, without the root where the issuer leaves it out.
    `private_key` is PKCS #8 PEM; "" where Perennial does not hold it. `arn` is the certificate's in ACM, where ACM
    issued it. `secret` and `secret_version` say where Secrets Manager of the hub holds all of it.
    """

    managed: str
    version: int
    names: tuple[str, ...]
    key: str  # key type, as in `profiles.KEYS`
    certificate: Certificate
    chain: tuple[Certificate, ...]
    private_key: str = ""
    arn: str = ""
    secret: str = ""
    secret_version: str = ""

    def __repr__(self) -> str:
        return f"Bundle({self.reference}, {self.fingerprint})"

    @property
    def reference(self) -> str:
        """`<managed>/<version>`."""
        return f"{self.managed}/{self.version}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the leaf's DER."""
        return self.certificate.fingerprint or ""

    @property
    def certificate_pem(self) -> str:
        """The leaf."""
        return pem(self.certificate.der)

    @property
    def chain_pem(self) -> str:
        """The certificates above it; "" where there are none."""
        return "".join(pem(each.der) for each in self.chain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is at a target.

    `state` is a text that only its kind reads: all that bringing it back needs, nothing secret. `fingerprint` is the
    SHA-256 of the certificate that serves there; "" where there is none. `host` and `port` are where the target itself
    answers TLS, "" where it does not (a secret). `claimed` are the host names that the place claims, which a
    certificate must cover. `protocols` are those that its TLS policy allows (`TLSv1.2`), () where unknown.
    """

    state: str
    fingerprint: str = ""
    host: str = ""
    port: int = 443
    claimed: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Later:
    """Call again after some seconds; `doing` says what is waited for, in words for people."""

    seconds: float
    doing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The way to a target: clients of its account, in its region, and the hub's deployment."""

    account: str
    region: str
    clients: Clients | Callable[..., object]
    deployment: Deployment | None = None


Keep = Callable[[str], None]


class Target(Protocol):
    """One place. All methods raise PerennialError, with what to do: NotFound where the place is gone, AccessDenied,
    Throttled, Unavailable, ServiceRefused.

    `placed` is "" or the text that an earlier call gave to `keep`, which stores it before it returns: what was made on
    the way (the ARN of an import). `shares` names what targets can use together: all with the same one get the same
    `placed`; "" where a target is alone.
    """

    @property
    def shares(self) -> str: ...

    def look(self) -> Found:
        """What is there now. Changes nothing."""

    def refusals(self, found: Found, new: Bundle, earlier: Bundle | None) -> list[str]:
        """Why this place could not take a version, or not get back what was found, a sentence each; [] when nothing
        speaks against it. `earlier` is the material of what was found, where Perennial holds it. Changes nothing.

        That the key fits the certificate, names, dates, chain and key type is judged elsewhere (`preflight`).
        """

    def activate(self, found: Found, new: Bundle, placed: str, keep: Keep) -> Later | None:
        """Let the place serve the new version; None when AWS has taken it and `look` tells of it.

        Raises: ChangedMeanwhile where something else is there than was found, and it was not this rollout that put it
        there: nothing is changed then.
        """

    def restore(self, found: Found, new: Bundle, placed: str, earlier: Bundle | None) -> Later | None:
        """Let the place serve what was found; None when AWS has taken it. Where it never ceased to, nothing is changed.

        Raises: ChangedMeanwhile where neither what was found nor the new version is there: that stays.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """A version of which nothing is to be left, in one store of copies.

    `placed` are the ARNs that were kept for it there. `spared` are ARNs that other versions name too. `ask` is the id
    with which it was asked for.
    """

    bundle: Bundle
    ask: str = ""
    placed: frozenset[str] = frozenset()
    spared: frozenset[str] = frozenset()


class Retirer(Protocol):
    """A store of copies (`acm_copy`, `iam_copy`) that removes those of a version."""

    def retire(self, client: Any, old: Superseded) -> list[str]:
        """Delete the copies of a version in the account and region of a client of the store. Returns why one of them
        still stands, a sentence each; [] when none does. What is not there any more counts as deleted.

        Only what has the version's fingerprint and its managed certificate's tag is deleted, and nothing that is in
        use. Raises: PerennialError, as `Target`.
        """
