"""The ESP suites of the control plane are those of the data plane: keywords, numbers, lengths, and what is default."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ironswan import esp
from ironswan.ike.suites import esp_suite
from ironswan.policy import keywords
from ironswan.policy.proposals import default_proposals, parse_proposal
from ironswan.policy.transforms import Integ, Proposal, Protocol, Transform, TransformType

SUITES = [suite for suite in esp.suites() if suite.protocol == "esp"]
NONE = Transform(TransformType.INTEG, Integ.NONE)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.keyword)
def test_keyword_stands_for_the_registered_transforms_and_key_material(suite: esp.SuiteInfo) -> None:
    proposal = parse_proposal(suite.keyword, Protocol.ESP)
    [encr], integ = proposal.of_type(TransformType.ENCR), proposal.of_type(TransformType.INTEG)
    assert encr.id == suite.encr_id
    assert [t.id for t in integ] == ([] if suite.integ_id is None else [suite.integ_id])
    chosen = esp_suite(proposal)
    assert chosen is not None
    assert (chosen.keyword, chosen.keymat_length) == (suite.keyword, suite.keymat_len)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.keyword)
def test_only_aes_has_a_key_length_attribute(suite: esp.SuiteInfo) -> None:
    """I46."""
    [encr] = parse_proposal(suite.keyword, Protocol.ESP).of_type(TransformType.ENCR)
    assert encr.key_length == (suite.key_len * 8 if suite.keyword.startswith("aes") else None)


def test_registry_and_keywords_have_the_same_algorithms() -> None:
    known = {t for t in keywords.ESP_SUPPORTED if t.type in (TransformType.ENCR, TransformType.INTEG)}
    registered = {t for s in SUITES for t in parse_proposal(s.keyword, Protocol.ESP).transforms if t in known}
    assert registered == known


def test_default_suites_are_those_of_the_registry_and_aead_comes_first() -> None:
    """RFC 8221 5, 6: nothing that is legacy, and no SHA-1."""
    found = [
        chosen.keyword
        for proposal in default_proposals(Protocol.ESP)
        for encr in proposal.of_type(TransformType.ENCR)
        for integ in proposal.of_type(TransformType.INTEG) or (NONE,)
        if (chosen := esp_suite(Proposal(Protocol.ESP, (encr, integ))))
    ]
    assert sorted(found) == sorted(suite.keyword for suite in SUITES if suite.default)
    assert ["-" in keyword for keyword in found] == sorted("-" in keyword for keyword in found)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.keyword)
def test_what_is_legacy_is_so_in_both(suite: esp.SuiteInfo) -> None:
    assert suite.legacy == bool(keywords.LEGACY & set(parse_proposal(suite.keyword, Protocol.ESP).transforms))


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.keyword)
def test_integrity_none_beside_a_cipher_is_no_suite_unless_it_is_aead(suite: esp.SuiteInfo) -> None:
    """I47: there is no way to ESP without integrity."""
    proposal = parse_proposal(suite.keyword, Protocol.ESP)
    without = tuple(t for t in proposal.transforms if t.type != TransformType.INTEG)
    for transforms in (without, (*without, NONE)):
        chosen = esp_suite(replace(proposal, transforms=transforms))
        assert (chosen is None) == (suite.integ_id is not None)


def test_truncation_without_negotiation_is_of_sha256_only() -> None:
    def installed(text: str) -> str:
        chosen = esp_suite(parse_proposal(text, Protocol.ESP), sha256_96=True)
        assert chosen is not None
        return chosen.keyword

    assert installed("aes128-sha256") == "aes128-sha256_96"
    assert installed("aes128-sha384") == "aes128-sha384"
    assert installed("aes128gcm16") == "aes128gcm16"


@pytest.mark.parametrize(
    "transforms",
    [
        (),
        (NONE,),
        (keywords.INTEG["sha256"],),
        (keywords.ENCR["aes128gcm16"], keywords.INTEG["sha256"]),
        (replace(keywords.ENCR["aes128"], key_length=None), keywords.INTEG["sha256"]),
        (replace(keywords.ENCR["3des"], key_length=192), keywords.INTEG["sha1"]),
        (keywords.ENCR["aes128"], Transform(TransformType.INTEG, 1)),
        (Transform(TransformType.ENCR, 9999, 128),),
    ],
)
def test_unsound_choice_is_no_suite(transforms: tuple[Transform, ...]) -> None:
    """I46, I47: a second line behind the negotiation."""
    assert esp_suite(Proposal(Protocol.ESP, transforms)) is None
