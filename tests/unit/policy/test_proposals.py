"""Proposals: keywords, choice, and the reason when there is no choice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ironswan.policy.proposals import (
    Mismatch, Selected, default_proposals, is_answer_to, parse_proposal, proposal_text, select,
)  # fmt: skip
from ironswan.policy.transforms import Encr, Integ, KeyExchange, Proposal, Protocol, Transform, TransformType

IKE, ESP = Protocol.IKE, Protocol.ESP


def ike(*texts):
    return [replace(parse_proposal(t, IKE), number=n) for n, t in enumerate(texts, 1)]


def esp(*texts):
    return [replace(parse_proposal(t, ESP), number=n, spi=b"spi4") for n, t in enumerate(texts, 1)]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("aes128gcm16-sha256-x25519", "aes128gcm16-prfsha256-x25519"),
        ("aes256-sha512-modp2048", "aes256-prfsha512-sha512-modp2048"),
        ("aes128gcm128-prfsha256-curve25519", "aes128gcm16-prfsha256-x25519"),
        ("AES128GCM16-PRFSHA384-ECP384", "aes128gcm16-prfsha384-ecp384"),
    ],
)
def test_keywords_are_completed_as_swanctl_does(text, normal):
    assert proposal_text(parse_proposal(text, IKE)) == normal


@pytest.mark.parametrize(
    ("text", "protocol", "words"),
    [
        ("aes128gcm17", IKE, "did you mean"),
        ("aes128gcm16-x25519", IKE, "no pseudorandom function"),
        ("aes128gcm16-prfsha256", IKE, "no key exchange method"),
        ("aes128-prfsha256-x25519", IKE, "no integrity algorithm"),
        ("aes128gcm16-aes128-sha256-x25519", IKE, "two proposals"),
        ("3des-sha256-x25519", IKE, "3des in '3des-sha256-x25519': not supported"),
        ("aes128-sha256-modp1024", IKE, "modp1024"),
        ("aes128-sha256", ESP, "for ESP by this version"),
        ("null-sha256", ESP, "null"),
        ("x25519", ESP, "no encryption algorithm"),
    ],
)
def test_unusable_proposal_is_refused_in_words(text, protocol, words):
    with pytest.raises(ValueError, match=words):
        parse_proposal(text, protocol)


def test_choice_has_their_number_and_spi_and_one_transform_a_type():
    """I43, I51: our order decides."""
    chosen = select(esp("chacha20poly1305-aes256gcm16"), esp("aes256gcm16", "aes256gcm16-chacha20poly1305"))
    assert isinstance(chosen, Selected)
    assert chosen.chosen == Proposal(
        ESP, (Transform(1, Encr.AES_GCM_16, 256), Transform(TransformType.ESN, 0)), 1, b"spi4"
    )


def test_weakest_first_in_their_list_does_not_matter():
    chosen = select(ike("aes256gcm16-aes128gcm16-prfsha384-prfsha256-x25519"), ike("aes128gcm16-aes256gcm16-prfsha256-prfsha384-x25519"))
    assert proposal_text(chosen.chosen) == "aes256gcm16-prfsha384-x25519"


def test_unknown_transform_type_rules_out_the_proposal_and_unknown_transform_only_itself():
    """I45."""
    (theirs,) = ike("aes128gcm16-prfsha256-x25519")
    ours = ike("aes128gcm16-prfsha256-x25519")
    assert isinstance(select(ours, [replace(theirs, transforms=(*theirs.transforms, Transform(13, 1)))]), Mismatch)
    extra = Transform(TransformType.ENCR, 9999, 128)
    marked = Transform(TransformType.ENCR, Encr.AES_GCM_16, 128, attributes_known=False)
    assert isinstance(select(ours, [replace(theirs, transforms=(extra, marked, *theirs.transforms))]), Selected)
    only = tuple(marked if t.type == TransformType.ENCR else t for t in theirs.transforms)
    assert isinstance(select(ours, [replace(theirs, transforms=only)]), Mismatch)


def test_key_length_must_be_the_same():
    """I46."""
    (theirs,) = ike("aes128gcm16-prfsha256-x25519")
    without = tuple(replace(t, key_length=None) for t in theirs.transforms)
    assert isinstance(select(ike("aes128gcm16-prfsha256-x25519"), [replace(theirs, transforms=without)]), Mismatch)


def test_integrity_none_beside_aead_is_accepted_and_answered_as_offered():
    """I47."""
    (theirs,) = ike("aes128gcm16-prfsha256-x25519")
    none = Transform(TransformType.INTEG, Integ.NONE)
    offered = replace(theirs, transforms=(*theirs.transforms, none))
    chosen = select(ike("aes128gcm16-prfsha256-x25519"), [offered]).chosen
    assert none in chosen.transforms
    assert is_answer_to(chosen, [offered])


def test_encryption_without_integrity_is_never_chosen():
    """I47."""
    (theirs,) = ike("aes128-sha256-x25519")
    bare = tuple(t for t in theirs.transforms if t.type != TransformType.INTEG)
    assert isinstance(select(ike("aes128-sha256-x25519"), [replace(theirs, transforms=bare)]), Mismatch)


def test_esp_proposal_without_sequence_number_size_is_refused():
    """I48."""
    (theirs,) = esp("aes128gcm16")
    bare = tuple(t for t in theirs.transforms if t.type != TransformType.ESN)
    assert isinstance(select(esp("aes128gcm16"), [replace(theirs, transforms=bare)]), Mismatch)


@pytest.mark.parametrize(
    ("ours", "theirs", "method"),
    [("aes128gcm16", "aes128gcm16-none", KeyExchange.NONE), ("aes128gcm16-x25519-none", "aes128gcm16", None),
     ("aes128gcm16-x25519", "aes128gcm16-x25519", KeyExchange.X25519), ("aes128gcm16-x25519", "aes128gcm16", "refused"),
     ("aes128gcm16", "aes128gcm16-x25519", "refused")],
)  # fmt: skip
def test_pfs_is_optional_only_where_none_says_so(ours, theirs, method):
    result = select(esp(ours), esp(theirs))
    if method == "refused":
        assert isinstance(result, Mismatch)
        assert result.transform_type == TransformType.KE
        return
    found = [t.id for t in result.chosen.of_type(TransformType.KE)]
    assert found in ([], [method])


def test_mismatch_names_the_type_both_lists_and_the_line_to_add():
    result = select(ike("aes128gcm16-prfsha256-x25519"), ike("aes128gcm16-prfsha256-modp2048-ecp256"))
    assert str(result) == (
        "no common IKE key exchange method: we allow x25519; the peer offers modp2048, ecp256; "
        'add "aes128gcm16-prfsha256-modp2048" to proposals'
    )
    suggested = parse_proposal(result.suggestion, IKE)
    assert isinstance(select([suggested], ike("aes128gcm16-prfsha256-modp2048-ecp256")), Selected)


def test_mismatch_suggests_nothing_that_we_cannot_do():
    theirs = [Proposal(ESP, (Transform(1, Encr.DES3_CBC), Transform(3, 2), Transform(5, 0)), 1, b"spi4")]
    result = select(esp("aes128gcm16"), theirs)
    assert "none of these is supported" in str(result)
    assert "3des" in str(result)


def test_answer_must_be_one_of_our_offers():
    """I44."""
    offers = ike("aes128gcm16-aes256gcm16-prfsha256-x25519")
    good = replace(offers[0], transforms=tuple(t for t in offers[0].transforms if t.key_length != 256))
    assert is_answer_to(good, offers)
    assert not is_answer_to(offers[0], offers), "two of a type are no choice"
    assert not is_answer_to(replace(good, number=2), offers)
    assert not is_answer_to(replace(good, transforms=good.transforms[:-1]), offers)
    other = tuple(Transform(t.type, Encr.AES_CBC, 128) if t.type == 1 else t for t in good.transforms)
    assert not is_answer_to(replace(good, transforms=other), offers)


@pytest.mark.parametrize("protocol", [IKE, ESP])
def test_defaults_agree_with_themselves(protocol):
    ours = default_proposals(protocol)
    assert isinstance(select(ours, [replace(p, number=1) for p in ours]), Selected)
