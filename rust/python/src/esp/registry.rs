//! `suites()`: the registry, for people and for negotiation.

use pyo3::prelude::*;

use ironswan_esp::{INTEG, Integ, Standing, Suite};

/// What there is to know of a suite. Lengths are octets.
#[pyclass(frozen, get_all, module = "ironswan.esp")]
pub struct SuiteInfo {
    /// Its name in a proposal.
    keyword: String,
    /// "esp" or "ah".
    protocol: &'static str,
    /// Number of the encryption algorithm in `IKEv2` (transform type 1).
    encr_id: Option<u16>,
    /// Number of the integrity algorithm in `IKEv2` (transform type 3).
    integ_id: Option<u16>,
    key_len: usize,
    salt_len: usize,
    integrity_key_len: usize,
    keymat_len: usize,
    iv_len: usize,
    icv_len: usize,
    /// Payload and trailer are a multiple of this.
    block: usize,
    /// The RFC that defines its use.
    rfc: String,
    /// Strength of the keys in bits.
    strength: u16,
    /// Whether it may be negotiated without being asked for.
    default: bool,
    /// Whether it is only for old peers.
    legacy: bool,
}

#[pymethods]
impl SuiteInfo {
    fn __repr__(&self) -> String {
        format!("<SuiteInfo {} {}>", self.protocol, self.keyword)
    }
}

/// Every suite of ESP and AH.
#[pyfunction]
pub fn suites() -> Vec<SuiteInfo> {
    Suite::all().map(esp).chain(INTEG.iter().map(ah)).collect()
}

fn esp(suite: Suite) -> SuiteInfo {
    let (encr, integ) = (suite.encr(), suite.integ());
    let standings = [Some(encr.standing), integ.map(|integ| integ.standing)];
    let has = |standing: Standing| standings.into_iter().flatten().any(|found| found == standing);
    let strengths = [encr.strength, integ.map_or(encr.strength, |integ| integ.strength)];
    SuiteInfo {
        keyword: suite.to_string(),
        protocol: "esp",
        encr_id: Some(encr.transform_id),
        integ_id: integ.map(|integ| integ.transform_id),
        key_len: encr.key_len,
        salt_len: encr.salt_len,
        integrity_key_len: suite.integ_key_len(),
        keymat_len: suite.keymat_len(),
        iv_len: encr.iv_len,
        icv_len: suite.icv_len(),
        block: encr.block,
        rfc: integ.map_or_else(|| encr.rfc.to_owned(), |integ| format!("{}, {}", encr.rfc, integ.rfc)),
        // A suite that does not encrypt is as strong as its integrity: GMAC's is that of its one key.
        strength: strengths.into_iter().filter(|bits| *bits > 0).min().unwrap_or(8 * encr.key_len as u16),
        default: !has(Standing::Optional) && !has(Standing::Legacy),
        legacy: has(Standing::Legacy),
    }
}

fn ah(integ: &Integ) -> SuiteInfo {
    SuiteInfo {
        keyword: integ.keyword.to_owned(),
        protocol: "ah",
        encr_id: None,
        integ_id: Some(integ.transform_id),
        key_len: 0,
        salt_len: integ.salt_len,
        integrity_key_len: integ.key_len,
        keymat_len: integ.key_len + integ.salt_len,
        iv_len: if integ.salt_len > 0 { 8 } else { 0 },
        icv_len: integ.icv_len,
        block: 4,
        rfc: integ.rfc.to_owned(),
        strength: integ.strength,
        default: integ.standing == Standing::Default,
        legacy: integ.standing == Standing::Legacy,
    }
}
