//! Test vectors from outside, for unit tests.
#![allow(clippy::unwrap_used)]

use serde_json::Value;

pub(crate) fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// A case of Wycheproof's; what an algorithm has no use for is empty.
pub(crate) struct Case {
    pub(crate) id: u64,
    pub(crate) key: Vec<u8>,
    pub(crate) iv: Vec<u8>,
    pub(crate) associated: Vec<u8>,
    pub(crate) message: Vec<u8>,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) tag: Vec<u8>,
    pub(crate) valid: bool,
}

pub(crate) fn wycheproof(name: &str) -> Vec<Case> {
    let path = format!("{}/../../tests/vectors/wycheproof/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let groups = document["testGroups"].as_array().unwrap();
    let cases: Vec<_> = groups.iter().flat_map(|group| group["tests"].as_array().unwrap()).map(case).collect();
    assert!(!cases.is_empty());
    cases
}

fn case(test: &Value) -> Case {
    let octets = |field: &str| hex(test[field].as_str().unwrap_or_default());
    Case {
        id: test["tcId"].as_u64().unwrap(),
        key: octets("key"),
        iv: octets("iv"),
        associated: octets("aad"),
        message: octets("msg"),
        ciphertext: octets("ct"),
        tag: octets("tag"),
        valid: test["result"] == "valid",
    }
}

/// The ESP packets of `tests/vectors/esp.json`.
pub(crate) fn packets() -> Vec<Packet> {
    let document: Value = serde_json::from_str(include_str!("../../../tests/vectors/esp.json")).unwrap();
    document["vectors"].as_array().unwrap().iter().map(Packet::new).collect()
}

/// A published packet with its keys.
pub(crate) struct Packet {
    pub(crate) id: String,
    pub(crate) encr: String,
    pub(crate) integ: String,
    pub(crate) key: Vec<u8>,
    pub(crate) salt: Vec<u8>,
    pub(crate) integ_key: Vec<u8>,
    pub(crate) esn: bool,
    pub(crate) sequence_number: u64,
    /// SPI, sequence number and IV; then zeros for the ICV behind payload and trailer.
    pub(crate) unsealed: Vec<u8>,
    pub(crate) sealed: Vec<u8>,
}

impl Packet {
    fn new(vector: &Value) -> Self {
        let text = |field: &str| vector[field].as_str().unwrap().to_owned();
        let octets = |field: &str| hex(&text(field));
        let number = |field: &str| vector[field].as_u64().unwrap();
        let (sealed, padding) = (octets("esp_packet"), octets("padding"));
        let mut unsealed = sealed[..8].to_vec();
        unsealed.extend(octets("iv"));
        unsealed.extend(octets("inner"));
        unsealed.extend(&padding);
        unsealed.extend([padding.len() as u8, number("next_header") as u8]);
        unsealed.resize(sealed.len(), 0);
        Self {
            id: text("id"),
            encr: text("encr"),
            integ: text("integ"),
            key: octets("enc_key"),
            salt: octets("salt"),
            integ_key: octets("auth_key"),
            esn: vector["esn"].as_bool().unwrap(),
            sequence_number: number("seq_hi") << 32 | number("seq"),
            unsealed,
            sealed,
        }
    }

    /// The keyword of the packet's suite, when there is such a suite.
    pub(crate) fn suite(&self) -> Option<crate::Suite> {
        let bits = self.key.len() * 8;
        let encr = match self.encr.as_str() {
            "aes-gcm-16" => format!("aes{bits}gcm16"),
            "aes-ccm-16" => format!("aes{bits}ccm16"),
            "aes-gmac" => format!("aes{bits}gmac"),
            "aes-cbc" => format!("aes{bits}"),
            "aes-ctr" => format!("aes{bits}ctr"),
            "3des-cbc" => "3des".into(),
            other => other.replace("chacha20-poly1305", "chacha20poly1305"),
        };
        let keyword = match self.integ.as_str() {
            "none" => encr,
            "aes-xcbc-96" => format!("{encr}-aesxcbc"),
            integ => format!("{encr}-{}", integ.trim_start_matches("hmac-").split('-').next().unwrap()),
        };
        crate::Suite::from_keyword(&keyword)
    }

    pub(crate) fn keymat(&self) -> Vec<u8> {
        [&self.key[..], &self.salt, &self.integ_key].concat()
    }
}
