"""What `perennial doctor` says: the health of a deployment, judged from facts that were gathered. Pure.

Each topic (`doctor_deployment`, `doctor_schedules`, …) has its facts and the judgement over them. A fact that could not
be gathered is `Unknown` with the reason, and is told as that: never as fine. `doctor_gathering` asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

FINE_CODE, WRONG_CODE, UNKNOWN_CODE = 0, 1, 2  # exit codes


class Verdict(StrEnum):
    """How something is, from the worst."""

    WRONG = "wrong"  # something does not work, or soon will not
    WARNING = "warning"  # it works, and should be looked at
    UNKNOWN = "unknown"  # it could not be checked
    FINE = "fine"


@dataclass(frozen=True, slots=True)
class Unknown:
    """Stands for a fact that could not be gathered."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was found about one thing. `advice` says what to do, "" where nothing is to be done."""

    topic: str
    subject: str
    verdict: Verdict
    words: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Topic:
    """Makes the diagnoses of one topic."""

    name: str

    def fine(self, subject: str, words: str) -> Diagnosis:
        return Diagnosis(topic=self.name, subject=subject, verdict=Verdict.FINE, words=words)

    def wrong(self, subject: str, words: str, advice: str) -> Diagnosis:
        return Diagnosis(topic=self.name, subject=subject, verdict=Verdict.WRONG, words=words, advice=advice)

    def warning(self, subject: str, words: str, advice: str) -> Diagnosis:
        return Diagnosis(topic=self.name, subject=subject, verdict=Verdict.WARNING, words=words, advice=advice)

    def unknown(self, subject: str, reason: str, advice: str = "") -> Diagnosis:
        words = f"could not be checked: {reason}"
        return Diagnosis(topic=self.name, subject=subject, verdict=Verdict.UNKNOWN, words=words, advice=advice)


def exit_code(diagnoses: Iterable[Diagnosis]) -> int:
    """0: everything is fine, or at most a warning; 1: something is wrong; 2: nothing is known to be wrong, and
    something could not be checked."""
    verdicts = {each.verdict for each in diagnoses}
    if Verdict.WRONG in verdicts:
        return WRONG_CODE
    return UNKNOWN_CODE if Verdict.UNKNOWN in verdicts or not verdicts else FINE_CODE


def summary(diagnoses: Iterable[Diagnosis]) -> str:
    """`2 wrong, 1 warning, 3 unknown, 41 fine`."""
    verdicts = [each.verdict for each in diagnoses]
    return ", ".join(_counted(verdicts))


def _counted(verdicts: list[Verdict]) -> Iterator[str]:
    for each in Verdict:
        count = verdicts.count(each)
        if count or each in (Verdict.WRONG, Verdict.FINE):
            yield f"{count} {each}{'s' if each is Verdict.WARNING and count != 1 else ''}"
