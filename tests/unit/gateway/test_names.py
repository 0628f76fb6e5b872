"""Names on the command line: what they stand for, and what is said when they stand for nothing or too much."""

from __future__ import annotations

import pytest

from ironswan.control.protocol import CommandError, ExitCode
from ironswan.gateway.names import Named, resolve

NAMES = {"home": ("lan", "voice"), "office": ("lan",), "t": ("t",), "mix": ("mix", "other"), "bare": ()}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("home", Named("home", ("lan", "voice"), whole=True)),
        ("home/*", Named("home", ("lan", "voice"), whole=True)),
        ("home/", Named("home", ("lan", "voice"), whole=True)),
        ("voice", Named("home", ("voice",), whole=False)),
        ("home/lan", Named("home", ("lan",), whole=False)),
        ("t", Named("t", ("t",), whole=True)),
        ("mix/mix", Named("mix", ("mix",), whole=False)),
        ("bare", Named("bare", (), whole=True)),
    ],
)
def test_names_find_what_they_stand_for(name: str, meant: Named) -> None:
    assert resolve(name, NAMES) == meant


@pytest.mark.parametrize(("name", "choices"), [("lan", "home/lan or office/lan"), ("mix", "mix/* or mix/mix")])
def test_ambiguous_name_says_what_to_write(name: str, choices: str) -> None:
    with pytest.raises(CommandError, match="ambiguous") as refused:
        resolve(name, NAMES)
    assert refused.value.message.endswith(f"write {choices}")
    assert refused.value.code is ExitCode.NO_SUCH_OBJECT


@pytest.mark.parametrize("name", ["nothing", "home/nothing", "nothing/lan", "nothing/*"])
def test_unknown_name_lists_what_is_configured(name: str) -> None:
    with pytest.raises(CommandError, match="home/lan, home/voice, office/lan") as refused:
        resolve(name, NAMES)
    assert refused.value.code is ExitCode.NO_SUCH_OBJECT


def test_choices_offered_for_an_ambiguous_name_are_accepted() -> None:
    for choice in ("home/lan", "office/lan", "mix/*", "mix/mix"):
        assert str(resolve(choice, NAMES)) == choice
