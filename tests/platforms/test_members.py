"""What is said of a name that is not there."""

from __future__ import annotations

from unicodedata import normalize

from reconciler.platforms.members import near


def test_a_name_in_another_unicode_form_is_told_so() -> None:
    composed, decomposed = (normalize(form, "Diabète Scoring") for form in ("NFC", "NFD"))
    assert "differs in its Unicode form only" in near(decomposed, [composed, "Other"])
    assert "differs in its Unicode form only" in near(composed, [decomposed])
    assert near("diabete scoring", ["Diabete Scoring"]).endswith('did you mean "Diabete Scoring"?')
