"""Names are canonical, and internationalised ones are shown as people read them."""

from __future__ import annotations

from layers.perennial.policy.cases import Case, asked, violations
from perennial.names import shown

CASES = {
    "international.canonical": Case(
        (asked("xn--bcher-kva.de", "shop.example.com", "*.example.com", "2001:db8::1"),),
        tuple(
            (asked(name), f"names[0] {shown(name)}")
            for name in ("bücher.de", "Shop.example.com", "shop.example.com.", "xn--a.de", "a_b.de", "", "2001:0db8::1")
        ),
    ),
}


def test_the_right_form_is_told() -> None:
    """A name in another form is led to its canonical one; one that is none is told why."""
    (violation,) = violations("international.canonical", asked("bücher.de"))
    assert violation.accepted == "xn--bcher-kva.de"
    (violation,) = violations("international.canonical", asked("a_b.de"))
    assert "underscore" in violation.detail


def test_violations_show_what_an_a_label_stands_for() -> None:
    """Whoever reads a violation sees the name in Unicode beside its A-labels."""
    (violation,) = violations("names.profile", asked("xn--strae-oqa.de"))
    assert violation.field == "names[0] xn--strae-oqa.de (straße.de)"
