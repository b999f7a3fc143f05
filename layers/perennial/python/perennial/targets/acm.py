"""An imported certificate in ACM: imported again under the ARN that it has, so that all that refers to it follows.

ACM keeps nothing of what an import replaces, and imports on no condition: what is there is read right before, and the
way back is the earlier version's material, imported once more. What a re-import may not change (`acm_reimport`) is
asked for both directions.

An ARN has no host. The proof is that ACM shows the new version, and handshakes at the endpoints that the target names.

Sources: ACM User Guide, "Reimport a certificate" and "Prerequisites for importing ACM certificates"; ACM API Reference
(ImportCertificate, DescribeCertificate).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from perennial.acm_words import key_facts
from perennial.certificate import Certificate
from perennial.errors import ChangedMeanwhile, InvalidInput, NotFit, NotFound
from perennial.issuers.aws_replies import answered
from perennial.targets import acm_copy
from perennial.targets.acm_reimport import IMPORTED, Held, forbidden
from perennial.targets.interface import Bundle, Field, Found, Keep, Later, Reach, TargetSettings

TITLE = "imported certificate in ACM"
FIELDS = (
    Field(
        name="certificate",
        pattern=r"arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]{1,64}",
        words="the ARN of a certificate that was imported into ACM (arn:aws:acm:<region>:<account>:certificate/<id>)",
        needed=True,
    ),
    Field(
        name="irreversible",
        pattern="yes|no",
        words='"yes" lets a certificate be replaced that could not be brought back; "no" refuses that',
        default="no",
    ),
)
KEYS = acm_copy.KEYS
LOOKS = ("acm:DescribeCertificate", "acm:GetCertificate")
CHANGES = ("acm:ImportCertificate",)
RETIRES: tuple[str, ...] = ()  # it makes no copy
MAX_CHAIN = acm_copy.MAX_CHAIN
DEADLINE = 3_600  # what is attached follows in its own time: a load balancer in minutes, an API's domain in up to 40
HANDSHAKES = False

_SHOWN_AFTER = 5.0  # seconds
_ELSEWHERE = "let targets of kind elbv2, elb, apigateway or cloudfront attach another certificate where it is attached"
_ALLOW = 'set irreversible = "yes" to replace it all the same'


def target(settings: TargetSettings, reach: Reach) -> AcmCertificate:
    """The target that settings describe. Its client is of the region that the ARN names."""
    arn = settings.text("certificate")
    client = reach.clients("acm", arn.split(":")[3])
    return AcmCertificate(arn, reach.account, settings.text("irreversible") == "yes", client)


@dataclass(frozen=True, slots=True)
class AcmCertificate:
    """One ARN. `acm` is a client of its region."""

    arn: str
    account: str
    irreversible: bool
    acm: Any

    @property
    def shares(self) -> str:
        """Nothing: it makes no copy."""
        return ""

    def look(self) -> Found:
        """What ACM has under the ARN.

        Raises: InvalidInput where the ARN is of another account than the target.
        """
        told = self._described()
        found = acm_copy.certificate(self.acm, self.arn)
        if found is None and told.get("Type") == IMPORTED:
            raise self._gone()
        held = Held.of(
            found or Certificate(fingerprint=None),
            kind=str(told.get("Type", "unknown")),
            key=Certificate(fingerprint=None, **key_facts(told.get("KeyAlgorithm"))).key,
            expired=_expired(told, found),
            users=told.get("InUseBy", ()),
        )
        return Found(state=held.written(), fingerprint=held.fingerprint)

    def _described(self) -> Mapping[str, Any]:
        if self.arn.split(":")[4] != self.account:
            raise InvalidInput(f"{self.arn} is not in the target's account {self.account}; declare the ARN's account")
        with answered(f"acm:DescribeCertificate of {self.arn}", {}):
            told: Mapping[str, Any] = self.acm.describe_certificate(CertificateArn=self.arn).get("Certificate", {})
        return told

    def refusals(self, found: Found, new: Bundle, earlier: Bundle | None) -> list[str]:
        """Everything for which ACM would refuse the version, or what was found after it."""
        if found.fingerprint == new.fingerprint:  # nothing will be written
            return []
        held, coming = Held.read(found.state), Held.of(new.certificate)
        if held.type != IMPORTED:
            return [
                f"{self.arn} is of the type {held.type}, and ACM replaces only what was imported; {_ELSEWHERE}: "
                f"{held.attachments}"
            ]
        return [*self._no_key(new), *self._changes(held, coming), *self._no_way_back(held, coming, earlier)]

    def _no_key(self, new: Bundle) -> Iterator[str]:
        if not new.private_key:
            yield f"{new.reference}: ACM needs its private key, which Perennial does not hold; issue one that it makes"

    def _changes(self, held: Held, coming: Held) -> Iterator[str]:
        if held.key != coming.key:
            yield (
                f"ACM cannot change the key of {self.arn} from {held.key} to {coming.key}; keep the key type, or "
                f"{_ELSEWHERE}: {held.attachments}"
            )
        for change in forbidden(held, coming):
            yield f"ACM would refuse the version under {self.arn}: {change}; issue one that has it, or {_ELSEWHERE}"

    def _no_way_back(self, held: Held, coming: Held, earlier: Bundle | None) -> Iterator[str]:
        """An expired certificate is no loss: nothing accepts it, and ACM would not take it back."""
        if self.irreversible or held.expired:
            return
        if _material(held, earlier) is None:
            yield (
                f"what {self.arn} has now could not be brought back: Perennial does not hold its key, and ACM keeps "
                f"nothing of what is replaced; {_ALLOW}"
            )
        for change in forbidden(coming, held):
            yield f"what {self.arn} has now could not be brought back after the version: {change}; {_ALLOW}"

    def activate(self, found: Found, new: Bundle, placed: str, keep: Keep) -> Later | None:
        """Import it under the ARN.

        Raises: NotFit where Perennial does not hold its key.
        """
        now = self._now()
        if now == new.fingerprint:
            return None
        if now != found.fingerprint:
            raise self._changed(now, new)
        for refusal in self._no_key(new):
            raise NotFit(refusal)
        return self._import(new)

    def restore(self, found: Found, new: Bundle, placed: str, earlier: Bundle | None) -> Later | None:
        """Import what was found once more.

        Raises: NotFit where Perennial does not hold its key, or where it had expired.
        """
        now = self._now()
        if now == found.fingerprint:
            return None
        if now != new.fingerprint:
            raise self._changed(now, new)
        return self._import(self._way_back(Held.read(found.state), new, earlier))

    def _now(self) -> str:
        now = acm_copy.held(self.acm, self.arn)
        if not now:
            raise self._gone()
        return now

    def _gone(self) -> NotFound:
        return NotFound(
            f"acm:GetCertificate of {self.arn}: there is no certificate any more; declare the target with the ARN of "
            "one that is there"
        )

    def _changed(self, now: str, new: Bundle) -> ChangedMeanwhile:
        return ChangedMeanwhile(
            f"{self.arn}: somebody imported {now} meanwhile, which is neither what was found nor {new.reference}; it "
            "stays. Find out who did, then deploy again"
        )

    def _way_back(self, held: Held, new: Bundle, earlier: Bundle | None) -> Bundle:
        back = _material(held, earlier)
        if back is not None and not held.expired:
            return back
        reason = "it had expired, and ACM takes it no more" if held.expired else "Perennial does not hold its key"
        raise NotFit(
            f"{self.arn}: what was there cannot be brought back: {reason}. {new.reference} stays; issue and deploy "
            "another version, or re-import the earlier certificate from where its key is"
        )

    def _import(self, version: Bundle) -> Later | None:
        acm_copy.call_import(self.acm, version, CertificateArn=self.arn)
        if acm_copy.held(self.acm, self.arn) == version.fingerprint:
            return None
        return Later(_SHOWN_AFTER, f"ACM to show {version.reference} under {self.arn}")


def _expired(told: Mapping[str, Any], found: Certificate | None) -> bool:
    """Whether what was described has expired, and is what was read after it."""
    return told.get("Status") == "EXPIRED" and found is not None and told.get("NotAfter") == found.not_after


def _material(held: Held, earlier: Bundle | None) -> Bundle | None:
    """A version that can be imported as what was found; None where Perennial does not hold it."""
    return earlier if earlier and earlier.fingerprint == held.fingerprint and earlier.private_key else None
