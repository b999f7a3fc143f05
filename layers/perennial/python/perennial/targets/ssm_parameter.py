"""A parameter in Parameter Store: a certificate, its chain, or both, without the key.

PutParameter knows no condition. The parameter is read right before, and the number of the new version tells afterwards
whether someone else wrote in between: their text is then put back from the parameter's history, which has the last 100
versions, and the rollout ends as `ChangedMeanwhile`. The same is looked at where a repetition finds its text in place.

The parameter must be there: its type, tier and key are the consumer's decision, and stay as they are.

Sources: Systems Manager API Reference (GetParameter, GetParameterHistory, PutParameter), User Guide ("Managing
parameter tiers", "Working with parameter versions").
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from perennial import certificate_text
from perennial.errors import ChangedMeanwhile, NotFit, NotFound, Throttled
from perennial.issuers.aws_replies import answered, code
from perennial.targets.interface import DEADLINE, Bundle, Field, Found, Keep, Later, Reach, TargetSettings

__all__ = [
    "CHANGES",
    "DEADLINE",
    "FIELDS",
    "HANDSHAKES",
    "KEYS",
    "LOOKS",
    "MAX_CHAIN",
    "RETIRES",
    "TITLE",
    "Parameter",
    "target",
]

TITLE = "Parameter Store parameter"
FIELDS = (
    Field(
        name="parameter",
        pattern=r"/?[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+){0,14}",
        words="the parameter's name (/shop/tls/chain), not its ARN, which PutParameter does not take",
        needed=True,
    ),
    certificate_text.FIELD,
)
KEYS = ()
LOOKS = ("ssm:GetParameter", "ssm:GetParameterHistory", "kms:Decrypt")
CHANGES = ("ssm:PutParameter", "kms:Encrypt", "kms:GenerateDataKey")
RETIRES: tuple[str, ...] = ()
MAX_CHAIN = 10
HANDSHAKES = False
SIZES = {"Standard": 4_096, "Advanced": 8_192, "Intelligent-Tiering": 8_192}  # bytes of a value
MAX_VERSIONS = 100  # that the history has
_LOGS = (
    "botocore.endpoint",
    "botocore.parsers",
)  # their DEBUG lines are whole answers: a SecureString is none's to see
_KEPT = ("Type", "Tier", "KeyId", "Description", "AllowedPattern", "DataType")  # policies stay by themselves
_GONE = ("ParameterNotFound", "ParameterVersionNotFound")
ADVICE = {
    "AccessDeniedException": "give the parameter the tag perennial:target, by which the roles of rollouts may reach it",
    "ParameterMaxVersionLimitExceeded": "its oldest version has a label: remove that or move it to a newer version",
    "ParameterPatternMismatchException": "its allowed pattern does not fit certificates; change the pattern",
    "InvalidKeyId": "let the key policy of the parameter's KMS key allow encryption and decryption to Perennial's role",
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Value:
    """A version of the parameter. Its text shows no value: a SecureString's may be anything."""

    number: int
    text: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What `look` found: the version, and the SHA-256 of its value."""

    number: int
    digest: str


class Parameter:
    """`interface.Target` of one parameter."""

    shares = ""

    def __init__(self, settings: TargetSettings, reach: Reach) -> None:
        for name in _LOGS:
            logging.getLogger(name).setLevel(logging.INFO)
        self._name = settings.text("parameter")
        self._content = settings.text("content") or "fullchain"
        self._ssm: Any = reach.clients("ssm")

    def look(self) -> Found:
        value = self._value()
        state = {"version": value.number, "sha256": _digest(value.text)}
        return Found(state=json.dumps(state), fingerprint=certificate_text.leaf(self._content, value.text))

    def refusals(self, found: Found, new: Bundle, earlier: Bundle | None) -> list[str]:
        told = certificate_text.refusals(self._content, new)
        if not told:
            value = self._value()
            told = _unfit(self._described(value.number), certificate_text.text(self._content, new))
        return [f"{self._name}: {each}" for each in told]

    def activate(self, found: Found, new: Bundle, placed: str, keep: Keep) -> Later | None:
        before, now = _state(found), self._value()
        text = certificate_text.text(self._content, new)
        if now.text == text:
            self._mind_others(now.number, text, before)
        elif _digest(now.text) == before.digest:
            refusals = self.refusals(found, new, None)
            if refusals:
                raise NotFit("; ".join(refusals))
            self._put(now, text, before)
        else:
            raise self._changed(now.number)
        return None

    def restore(self, found: Found, new: Bundle, placed: str, earlier: Bundle | None) -> Later | None:
        """Raises: NotFound where the history has what was found no more, and Perennial neither."""
        before, now = _state(found), self._value()
        if _digest(now.text) == before.digest:
            return None
        if now.text != certificate_text.text(self._content, new):
            raise self._changed(now.number)
        self._mind_others(now.number, now.text, before)
        self._put(now, self._earlier(before, earlier), before)
        return None

    # --- reading ---

    def _value(self, number: int = 0) -> _Value:
        """The parameter now, or a version that it had.

        Raises: NotFound.
        """
        name = f"{self._name}:{number}" if number else self._name
        with _asked(f"ssm:GetParameter of {name}"):
            told = self._ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]
        return _Value(number=int(told["Version"]), text=str(told["Value"]), type=str(told["Type"]))

    def _described(self, number: int) -> Mapping[str, Any]:
        """What a version has besides its value. The history has it: GetParameter tells neither tier nor key.

        Raises: NotFound.
        """
        doing = f"ssm:GetParameterHistory of {self._name}"
        with _asked(doing):
            for page in self._ssm.get_paginator("get_parameter_history").paginate(Name=self._name):
                for each in page["Parameters"]:
                    if each["Version"] == number:
                        return dict(each)
        raise NotFound(f"{doing}: it has no version {number}")

    def _earlier(self, before: _State, earlier: Bundle | None) -> str:
        """The text that was found: from the history, else as Perennial has it."""
        try:
            text = self._value(before.number).text
        except NotFound:
            text = certificate_text.text(self._content, earlier) if earlier else ""
        if _digest(text) != before.digest:
            raise NotFound(
                f"{self._name}: version {before.number}, which was found, is not in its history of {MAX_VERSIONS} "
                "versions any more; put the earlier certificate there yourself"
            )
        return text

    # --- changing ---

    def _put(self, now: _Value, text: str, before: _State, of: int = 0) -> None:
        """Put a text over what was read, with the attributes of that version, or of version `of`.

        Raises: ChangedMeanwhile where someone else wrote in between; theirs is put back.
        """
        told = self._described(of or now.number)
        kept = {name: told[name] for name in _KEPT if told.get(name)}
        with _asked(f"ssm:PutParameter of {self._name}"):
            answer = self._ssm.put_parameter(Name=self._name, Value=text, Overwrite=True, **kept)
        if answer["Version"] != now.number + 1:
            self._mind_others(int(answer["Version"]), text, before)

    def _mind_others(self, number: int, text: str, before: _State) -> None:
        """See what our text, which is version `number`, was written over. The SDK may have put it more than once.

        Raises: ChangedMeanwhile where that is someone else's; it is put back, unless there is something newer.
        """
        known = {before.digest, _digest(text)}
        theirs = None
        while theirs is None and number - 1 > before.number:
            number -= 1
            value = self._value(number)
            if value.text != text:
                theirs = value
        if theirs is None or _digest(theirs.text) in known:
            return
        now = self._value()
        if now.text == text:
            self._put(now, theirs.text, before, of=theirs.number)
        raise self._changed(theirs.number)

    def _changed(self, number: int) -> ChangedMeanwhile:
        return ChangedMeanwhile(f"{self._name}: someone else put version {number}; what they put is there")


def target(settings: TargetSettings, reach: Reach) -> Parameter:
    """The parameter that settings name."""
    return Parameter(settings, reach)


@contextmanager
def _asked(doing: str) -> Iterator[None]:
    """Raise what Parameter Store's errors mean in the block; some of their codes are its own."""
    from botocore.exceptions import ClientError

    with answered(doing, ADVICE):
        try:
            yield
        except ClientError as error:
            told = str(error.response.get("Error", {}).get("Message", ""))[:300]
            if code(error) in _GONE:
                raise NotFound(f"{doing}: {told}; make a parameter of this name first") from error
            if code(error) == "TooManyUpdates":
                raise Throttled(f"{doing}: {told}") from error
            raise


def _unfit(told: Mapping[str, Any], text: str) -> list[str]:
    """Why a parameter cannot take a text."""
    found = []
    if told["Type"] == "StringList":
        found.append("it is a StringList, and a certificate is one text; make it a String")
    if told.get("DataType", "text") != "text":
        found.append(f"its values have the data type {told['DataType']}; name a parameter of the data type text")
    tier, size = told.get("Tier", "Standard"), len(text.encode())
    if size > SIZES.get(tier, SIZES["Standard"]):
        found.append(
            f"the text has {size} bytes, more than the {SIZES.get(tier, SIZES['Standard'])} of the tier {tier}; "
            + ("make it an Advanced parameter, " if size <= SIZES["Advanced"] and tier == "Standard" else "")
            + "take the content certificate or chain, or use a target of kind s3"
        )
    return found


def _state(found: Found) -> _State:
    state = json.loads(found.state)
    return _State(number=state["version"], digest=state["sha256"])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
