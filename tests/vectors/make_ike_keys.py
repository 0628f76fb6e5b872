"""Makes ike_keys.json again: cases of the RFCs in full, and for NIST's inputs all that follows from them.

Everything is computed with Python's hmac, which none of our code uses, by RFC 7296 2.13, 2.14, 2.17 and 2.18. Only
NIST's inputs (nonces, SPIs, shared secrets) are taken from the file as it is.

    python tests/vectors/make_ike_keys.py
"""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "ike_keys.json"
ABOUT = (
    "PRF, prf+ and IKE key derivation vectors: RFC 2202, RFC 4231, NIST CAVP and inputs of NIST ACVP. "
    "Everything that follows from inputs is computed by make_ike_keys.py."
)
HASHES = {2: "sha1", 5: "sha256", 6: "sha384", 7: "sha512"}
NAMES = {2: "PRF_HMAC_SHA1", 5: "PRF_HMAC_SHA2_256", 6: "PRF_HMAC_SHA2_384", 7: "PRF_HMAC_SHA2_512"}
IETF = "IETF Trust (test vector data / facts)"
NIST = "public domain (work of the US government, 17 U.S.C. 105)"
LIBACVP = "Apache-2.0 (inputs, cisco/libacvp); results computed here"
OWN = "Apache-2.0 OR MIT"

COUNTING = bytes(range(1, 26))
LARGER_KEY = b"Test Using Larger Than Block-Size Key"
RFC_2202 = {
    1: (b"\x0b" * 20, b"Hi There"),
    2: (b"Jefe", b"what do ya want for nothing?"),
    3: (b"\xaa" * 20, b"\xdd" * 50),
    4: (COUNTING, b"\xcd" * 50),
    6: (b"\xaa" * 80, LARGER_KEY + b" - Hash Key First"),
    7: (b"\xaa" * 80, LARGER_KEY + b" and Larger Than One Block-Size Data"),
}
LARGER_BOTH = (
    b"This is a test using a larger than block-size key and a larger than block-size data. "
    b"The key needs to be hashed before being used by the HMAC algorithm."
)
RFC_4231 = {
    1: RFC_2202[1],
    2: RFC_2202[2],
    3: RFC_2202[3],
    4: RFC_2202[4],
    6: (b"\xaa" * 131, LARGER_KEY + b" - Hash Key First"),
    7: (b"\xaa" * 131, LARGER_BOTH),
}


def prf(number: int, key: bytes, data: bytes) -> bytes:
    """RFC 7296 2.13: HMAC."""
    return hmac.digest(key, data, HASHES[number])


def prf_plus(number: int, key: bytes, seed: bytes, length: int) -> bytes:
    """RFC 7296 2.13: T1 | T2 | ..., each over the last one, the seed and a counter."""
    stream, last = b"", b""
    for counter in range(1, 256):
        last = prf(number, key, last + seed + bytes((counter,)))
        stream += last
    return stream[:length]


def _prf() -> list[dict[str, Any]]:
    tests = [("2202", "3", 2, case, *values) for case, values in RFC_2202.items()]
    tests += [("4231", "4", number, case, *values) for number in (5, 6, 7) for case, values in RFC_4231.items()]
    return [
        {
            "id": f"rfc{rfc}-{HASHES[number]}-{case}",
            "source": f"RFC {rfc} section {section}, test case {case}",
            "licence": IETF,
            "prf_id": number,
            "key": key.hex(),
            "data": data.hex(),
            "out": prf(number, key, data).hex(),
        }
        for rfc, section, number, case, key, data in tests
    ]


def _prf_plus(derivations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The step from SKEYSEED on, and short ones of our own whose last block is cut."""
    cut = [
        {
            "id": f"cut-{name}",
            "source": "make_ike_keys.py: key and data of RFC 4231 test case 2 as key and seed",
            "licence": OWN,
            "prf_id": number,
            "key": RFC_4231[2][0].hex(),
            "seed": RFC_4231[2][1].hex(),
            "out": prf_plus(number, *RFC_4231[2], 3 * len(prf(number, b"", b"")) + 5).hex(),
        }
        for number, name in HASHES.items()
    ]
    return cut + [
        {
            "id": f"{v['id']}-stream",
            "source": v["source"],
            "licence": v["licence"],
            "prf_id": v["prf_id"],
            "key": v["skeyseed"],
            "seed": v["ni"] + v["nr"] + v["spi_i"] + v["spi_r"],
            "out": v["dkm"],
        }
        for v in derivations
        if v["id"].startswith("cavp")
    ]


def _derived(vector: dict[str, Any]) -> dict[str, Any]:
    """A derivation with everything that follows from its inputs; streams as long as they are."""
    number = vector["prf_id"]
    ni, nr, shared, spi_i, spi_r = (bytes.fromhex(vector[name]) for name in ("ni", "nr", "g_ir", "spi_i", "spi_r"))
    skeyseed = prf(number, ni + nr, shared)
    octets = len(vector["dkm"]) // 2
    stream = prf_plus(number, skeyseed, ni + nr + spi_i + spi_r, octets)
    found = vector | {"prf": NAMES[number], "skeyseed": skeyseed.hex(), "dkm": stream.hex()}
    if "g_ir_new" in vector:
        sk_d, new = stream[: len(skeyseed)], bytes.fromhex(vector["g_ir_new"])
        found |= {
            "dkm_child": prf_plus(number, sk_d, ni + nr, octets).hex(),
            "dkm_child_dh": prf_plus(number, sk_d, new + ni + nr, octets).hex(),
            "skeyseed_rekey": prf(number, sk_d, new + ni + nr).hex(),
        }
    return found


def made(document: dict[str, Any]) -> dict[str, Any]:
    """The document as it should be, from NIST's inputs in it."""
    derivations = [_derived(vector) for vector in document["sa_init"]]
    return {"about": ABOUT, "prf": _prf(), "prf_plus": _prf_plus(derivations), "sa_init": derivations}


if __name__ == "__main__":
    FILE.write_text(json.dumps(made(json.loads(FILE.read_text())), indent=1) + "\n")
