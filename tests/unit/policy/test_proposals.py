"""Proposals: keywords, the choice, and the reason when there is none (I43..I53)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironswan.policy import proposals as proposals_module
from ironswan.policy.keywords import ALL
from ironswan.policy.proposals import (
    Mismatch,
    Selected,
    default_proposals,
    is_answer_to,
    parse_proposal,
    proposal_text,
    select,
    wants_esn,
)
from ironswan.policy.transforms import Encr, Esn, Integ, KeyExchange, Proposal, Protocol, Transform, TransformType

GCM = Transform(TransformType.ENCR, Encr.AES_GCM_16, 128)
NO_ESN = Transform(TransformType.ESN, Esn.NO_ESN)
ESN = Transform(TransformType.ESN, Esn.ESN)


def ike(text: str) -> Proposal:
    return parse_proposal(text, Protocol.IKE)


def esp(text: str) -> Proposal:
    return parse_proposal(text, Protocol.ESP)


def chosen(ours: list[Proposal], theirs: list[Proposal]) -> Proposal:
    result = select(ours, theirs)
    assert isinstance(result, Selected), str(result)
    return result.chosen


def refused(ours: list[Proposal], theirs: list[Proposal]) -> Mismatch:
    result = select(ours, theirs)
    assert isinstance(result, Mismatch)
    return result


def test_prf_follows_from_the_integrity_keyword() -> None:
    assert proposal_text(ike("aes128-sha256-x25519")) == "aes128-prfsha256-sha256-x25519"
    assert proposal_text(ike("aes128gcm16-sha256-x25519")) == "aes128gcm16-prfsha256-x25519"


def test_esp_has_a_sequence_number_size_always() -> None:
    """I48."""
    assert esp("aes128gcm16").transforms == (GCM, NO_ESN)
    assert wants_esn(esp("aes128gcm16-esn"))


@pytest.mark.parametrize(
    ("text", "protocol", "words"),
    [
        ("aes128gcm16-x25519", Protocol.IKE, "pseudorandom function"),
        ("aes128gcm16-prfsha256", Protocol.IKE, "key exchange method"),
        ("prfsha256-x25519", Protocol.IKE, "encryption algorithm"),
        ("aes128-prfsha256-x25519", Protocol.IKE, "integrity algorithm: write aes128-prfsha256-sha256-x25519$"),
        ("aes128-aes128gcm16-sha256-x25519", Protocol.IKE, "two proposals"),
        ("null-sha256-x25519", Protocol.IKE, "not supported for IKE"),
        ("aes128gcm16iiv-prfsha256-x25519", Protocol.IKE, "not supported for IKE"),
        ("aes128-sha256-modp1024", Protocol.IKE, "key exchange method may be .*modp2048"),
        ("aes256-modp2048", Protocol.ESP, "has no integrity algorithm: write aes256-sha256-modp2048$"),
        ("null", Protocol.ESP, "has no integrity algorithm: write null-sha256$"),
        ("null-esn", Protocol.ESP, "has no integrity algorithm: write null-sha256-esn$"),
        ("aes128gcm16-sha256", Protocol.ESP, "which needs none: write aes128gcm16$"),
        ("aes128gmac-sha1-none", Protocol.ESP, "which needs none: write aes128gmac-none$"),
        ("aes128gcm16-aes256-sha384", Protocol.ESP, "two proposals, aes128gcm16, aes256-sha384$"),
        ("aes128ccm8-3des", Protocol.ESP, "two proposals, aes128ccm8, 3des-sha256$"),
        ("sha256", Protocol.ESP, "has no encryption algorithm"),
        ("chacha20poly1305compat", Protocol.ESP, "did you mean 'chacha20poly1305'"),
        ("aes128-md5", Protocol.ESP, "'md5' is not a proposal keyword"),
        ("aes128gmc16", Protocol.ESP, "did you mean 'aes128gcm16'"),
        ("", Protocol.ESP, "not a proposal keyword"),
    ],
)
def test_unusable_proposal_is_refused_in_words(text: str, protocol: Protocol, words: str) -> None:
    """I47, I53."""
    with pytest.raises(ValueError, match=words):
        parse_proposal(text, protocol)


@given(st.lists(st.sampled_from(sorted(ALL)), min_size=1, max_size=6), st.sampled_from([Protocol.IKE, Protocol.ESP]))
def test_what_parses_is_complete_and_reads_back(words: list[str], protocol: Protocol) -> None:
    try:
        proposal = parse_proposal("-".join(words), protocol)
    except ValueError:
        return
    assert parse_proposal(proposal_text(proposal), protocol) == proposal
    assert isinstance(select([proposal], [proposal]), Selected)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("aes-sha", "aes128-sha1"),
        ("aes256-sha2_256", "aes256-sha256"),
        ("aes256-sha2_384", "aes256-sha384"),
        ("aes256-sha2_512", "aes256-sha512"),
        ("aes256-sha2_256_96", "aes256-sha256_96"),
        ("aes128gcm", "aes128gcm16"),
        ("aes192gcm128", "aes192gcm16"),
        ("aes256gcm96", "aes256gcm12"),
        ("aes128gcm64", "aes128gcm8"),
        ("aes128ccm", "aes128ccm16"),
        ("aes192ccm128", "aes192ccm16"),
        ("aes256ccm96", "aes256ccm12"),
        ("aes128ccm64", "aes128ccm8"),
        ("aes128gcm16-curve25519-modpnone", "aes128gcm16-x25519-none"),
    ],
)
def test_other_words_of_swanctl_mean_the_same(alias: str, name: str) -> None:
    assert proposal_text(esp(alias)) == proposal_text(esp(name))


def test_integrity_beside_aead_names_the_prf_of_ike() -> None:
    """swanctl's reading: the keyword has no other meaning there."""
    assert proposal_text(ike("aes128ccm16-sha384-x25519")) == "aes128ccm16-prfsha384-x25519"


def test_defaults_agree_with_themselves_and_have_no_weak_algorithm() -> None:
    for protocol in (Protocol.IKE, Protocol.ESP):
        defaults = default_proposals(protocol)
        assert isinstance(select(defaults, defaults), Selected)
        assert not [t for p in defaults for t in p.of_type(TransformType.INTEG) if t.id == Integ.HMAC_SHA1_96]
        assert not [t for p in defaults for t in p.of_type(TransformType.KE) if t.id in (2, 5, 22, 23, 24)]


def test_choice_has_one_transform_a_type_with_their_number_and_spi() -> None:
    """I43."""
    theirs = replace(ike("aes256gcm16-aes128gcm16-prfsha512-prfsha256-modp2048-x25519"), number=3, spi=b"12345678")
    result = chosen([ike("aes128gcm16-prfsha256-x25519")], [theirs])
    assert (proposal_text(result), result.number, result.spi) == ("aes128gcm16-prfsha256-x25519", 3, b"12345678")


def test_our_order_of_preference_decides_not_theirs() -> None:
    """I51: weakest-first tricks have no effect."""
    ours = [ike("aes256gcm16-prfsha384-ecp384"), ike("aes128gcm16-prfsha256-x25519-modp2048")]
    theirs = [ike("aes128gcm16-prfsha256-modp2048-x25519"), ike("aes256gcm16-prfsha384-ecp384")]
    assert proposal_text(chosen(ours, theirs)) == "aes256gcm16-prfsha384-ecp384"
    assert proposal_text(chosen(ours[1:], theirs)) == "aes128gcm16-prfsha256-x25519"


def test_unknown_transform_type_spoils_its_proposal_only() -> None:
    """I45."""
    good = replace(esp("aes128gcm16"), number=2)
    bad = replace(good, transforms=(*good.transforms, Transform(200, 1)), number=1)
    assert chosen([esp("aes128gcm16")], [bad, good]).number == 2
    assert isinstance(select([esp("aes128gcm16")], [bad]), Mismatch)


def test_unknown_transform_or_attribute_spoils_that_transform_only() -> None:
    """I45."""
    strange = replace(GCM, attributes_known=False)
    invented = Transform(TransformType.ENCR, 9999, 128)
    theirs = Proposal(Protocol.ESP, (strange, invented, GCM, NO_ESN), 1, b"abcd")
    assert chosen([esp("aes128gcm16")], [theirs]).transforms == (GCM, NO_ESN)
    assert isinstance(select([esp("aes128gcm16")], [replace(theirs, transforms=(strange, NO_ESN))]), Mismatch)


@pytest.mark.parametrize(
    "transform",
    [Transform(TransformType.ENCR, Encr.AES_GCM_16), Transform(TransformType.ENCR, Encr.CHACHA20_POLY1305, 256)],
)
def test_key_length_is_mandatory_for_aes_and_forbidden_for_chacha20(transform: Transform) -> None:
    """I46."""
    ours = [esp("aes128gcm16-aes256gcm16-chacha20poly1305")]
    assert isinstance(select(ours, [Proposal(Protocol.ESP, (transform, NO_ESN))]), Mismatch)


def test_aead_goes_with_integrity_none_and_with_no_other() -> None:
    """I47."""
    none = Transform(TransformType.INTEG, Integ.NONE)
    sha = Transform(TransformType.INTEG, Integ.HMAC_SHA2_256_128)
    ours = [esp("aes128gcm16")]
    assert none in chosen(ours, [Proposal(Protocol.ESP, (GCM, none, NO_ESN))]).transforms
    assert isinstance(select(ours, [Proposal(Protocol.ESP, (GCM, sha, NO_ESN))]), Mismatch)


NONE = Transform(TransformType.INTEG, Integ.NONE)


@pytest.mark.parametrize("cipher", ["aes128-sha256", "null-sha256", "3des-sha1"])
@pytest.mark.parametrize("integ", [(), (NONE,)])
def test_other_encryption_is_never_chosen_without_integrity(cipher: str, integ: tuple[Transform, ...]) -> None:
    """I47, and RFC 8221 4."""
    ours = esp(cipher)
    theirs = replace(ours, transforms=(*ours.of_type(TransformType.ENCR), *integ, NO_ESN))
    assert isinstance(select([ours], [theirs]), Mismatch)
    assert not is_answer_to(theirs, [ours])


def test_missing_sequence_number_size_is_no_esp_proposal() -> None:
    """I48."""
    assert isinstance(select([esp("aes128gcm16")], [Proposal(Protocol.ESP, (GCM,))]), Mismatch)


def test_either_sequence_number_size_offered_is_acceptable() -> None:
    """I48."""
    theirs = Proposal(Protocol.ESP, (GCM, NO_ESN, ESN))
    assert chosen([esp("aes128gcm16-esn")], [theirs]).of_type(TransformType.ESN) == (ESN,)
    assert chosen([esp("aes128gcm16")], [theirs]).of_type(TransformType.ESN) == (NO_ESN,)


def test_ike_proposal_without_key_exchange_is_refused() -> None:
    """I50."""
    ours = ike("aes128gcm16-prfsha256-x25519")
    none = Transform(TransformType.KE, KeyExchange.NONE)
    theirs = replace(ours, transforms=tuple(t for t in ours.transforms if t.type != TransformType.KE))
    assert isinstance(select([ours], [theirs]), Mismatch)
    assert isinstance(select([ours], [replace(theirs, transforms=(*theirs.transforms, none))]), Mismatch)


@pytest.mark.parametrize(
    ("ours", "theirs", "method"),
    [
        ("aes128gcm16", "aes128gcm16", ()),
        ("aes128gcm16-x25519", "aes128gcm16-x25519", (KeyExchange.X25519,)),
        ("aes128gcm16-x25519-none", "aes128gcm16", ()),
        ("aes128gcm16", "aes128gcm16-x25519-none", (KeyExchange.NONE,)),
        ("aes128gcm16-x25519", "aes128gcm16", None),
        ("aes128gcm16", "aes128gcm16-x25519", None),
    ],
)
def test_forward_secrecy_is_what_both_sides_insist_on_or_allow(
    ours: str, theirs: str, method: tuple[int, ...] | None
) -> None:
    """I43, I51: a type that was offered is answered, even by NONE."""
    result = select([esp(ours)], [esp(theirs)])
    if method is None:
        assert isinstance(result, Mismatch)
    else:
        assert isinstance(result, Selected)
        assert tuple(t.id for t in result.chosen.of_type(TransformType.KE)) == method


def test_mismatch_names_the_type_both_lists_and_the_line_to_add() -> None:
    mismatch = refused([ike("aes128gcm16-prfsha256-x25519")], [ike("aes128gcm16-prfsha256-modp2048")])
    assert mismatch.transform_type == TransformType.KE
    assert "key exchange method: we allow x25519; the peer offers modp2048" in str(mismatch)
    assert str(mismatch).endswith('add "aes128gcm16-prfsha256-modp2048" to proposals')


def test_mismatch_suggests_nothing_that_this_version_cannot_do() -> None:
    weak = Proposal(Protocol.ESP, (Transform(TransformType.ENCR, Encr.DES3_CBC), NO_ESN))
    mismatch = refused([esp("aes128gcm16")], [weak])
    assert mismatch.suggestion == ""
    assert "supported" in str(mismatch)


def test_mismatch_suggests_what_is_weak_last_and_says_so() -> None:
    null, des = esp("null-sha256"), esp("3des-sha1-modp2048")
    told = str(refused([esp("aes128gcm16")], [des, esp("aes256-sha1")]))
    assert told.endswith('add "aes256-sha1" to esp_proposals')
    assert str(refused([esp("aes128gcm16")], [des])).endswith(
        '"3des-sha1-modp2048" to esp_proposals, which is for old peers only'
    )
    assert str(refused([esp("aes128gcm16")], [null])).endswith('"null-sha256" to esp_proposals, which does not encrypt')


def test_mismatch_without_any_proposal_is_still_a_sentence() -> None:
    assert "none" in str(refused([esp("aes128gcm16")], []))


def test_nothing_that_a_peer_offers_is_compared_with_the_keywords_for_likeness(monkeypatch: pytest.MonkeyPatch) -> None:
    """T03: that is for an operator's typing errors; a stranger's offer would make it the most expensive step of all."""
    monkeypatch.setattr(proposals_module, "get_close_matches", None)
    unknown = Transform(TransformType.ENCR, 9999)
    for transforms in ((), (GCM,), (unknown,), (GCM, NO_ESN, Transform(200, 1))):
        for protocol in (Protocol.IKE, Protocol.ESP):
            theirs = [Proposal(protocol, transforms, number) for number in range(20)]
            assert "no common" in str(refused(list(default_proposals(protocol)), theirs))


def test_mismatch_is_explained_only_when_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """T03: of a flood of mismatches most are not told."""
    for name in ("_closest", "_suggestion", "_listed"):
        monkeypatch.setattr(proposals_module, name, None)
    refused([ike("aes128gcm16-prfsha256-x25519")], [ike("aes128gcm16-prfsha256-modp2048")])


def test_explanation_looks_at_the_beginning_of_an_endless_offer_and_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """T03, T22."""
    compared = []
    agreement = proposals_module._agreement
    monkeypatch.setattr(
        proposals_module, "_agreement", lambda our, their: (compared.append(their), agreement(our, their))[1]
    )
    strange = tuple(Transform(TransformType.ENCR, 1000 + n, 128) for n in range(255))
    theirs = [Proposal(Protocol.IKE, strange, n) for n in range(1000)]
    text = str(refused([ike("aes128gcm16-prfsha256-x25519")], theirs))
    assert len(compared) == 16
    assert all(len(their.transforms) == 64 for their in compared)
    assert len(text) < 1000
    assert "encryption algorithm 1000/128, " in text
    assert " and more" in text


OFFER = replace(ike("aes128gcm16-aes256gcm16-prfsha256-x25519-ecp256"), number=1)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (replace(ike("aes256gcm16-prfsha256-ecp256"), number=1), True),
        (replace(ike("aes256gcm16-prfsha256-ecp256"), number=2), False),
        (replace(ike("aes256gcm16-prfsha384-ecp256"), number=1), False),
        (replace(ike("aes256gcm16-prfsha256-ecp256-x25519"), number=1), False),
        (replace(OFFER, transforms=(GCM,)), False),
        (replace(esp("aes128gcm16"), number=1), False),
    ],
)
def test_answer_must_be_one_of_our_offers_with_one_transform_a_type(answer: Proposal, expected: bool) -> None:
    """I44."""
    assert is_answer_to(answer, [OFFER]) is expected


def test_answer_with_another_key_length_or_attribute_is_not_ours() -> None:
    """I43, I44."""
    good = replace(ike("aes128gcm16-prfsha256-x25519"), number=1)
    for changed in (replace(GCM, key_length=192), replace(GCM, attributes_known=False)):
        assert not is_answer_to(replace(good, transforms=(changed, *good.transforms[1:])), [OFFER])


transforms = st.builds(
    Transform, st.integers(1, 6), st.sampled_from([0, 1, 5, 12, 14, 19, 20, 28, 31]), st.sampled_from([None, 128, 256])
)
proposals = st.builds(
    Proposal, st.sampled_from(Protocol), st.lists(transforms, max_size=8).map(tuple), st.integers(1, 9)
)


@given(st.lists(proposals, max_size=4), st.sampled_from([Protocol.IKE, Protocol.ESP]))
def test_whatever_a_peer_offers_the_choice_is_from_both_or_explained(
    theirs: list[Proposal], protocol: Protocol
) -> None:
    ours = default_proposals(protocol)
    result = select(ours, theirs)
    if isinstance(result, Mismatch):
        assert str(result)
        return
    offered = next(p for p in theirs if is_answer_to(result.chosen, [p]))
    assert set(result.chosen.transforms) <= set(offered.transforms)
    unsaid = {Transform(TransformType.INTEG, Integ.NONE)}
    assert set(result.chosen.transforms) <= set(result.ours.transforms) | unsaid
