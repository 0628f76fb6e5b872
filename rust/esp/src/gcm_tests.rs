#![allow(clippy::unwrap_used)]

use crate::gmac::GmacKey;
use crate::vectors::wycheproof;

#[test]
fn gmac_agrees_with_wycheproof_however_the_message_is_cut() {
    for case in wycheproof("aes_gmac") {
        let (salt, iv) = case.iv.split_at(4);
        let key = GmacKey::new(&case.key, salt).unwrap();
        let iv = iv.try_into().unwrap();
        assert_eq!(key.tag(iv, &[&case.message]) == case.tag[..], case.valid, "{}", case.id);
        for cut in 0..=case.message.len().min(40) {
            let (first, second) = case.message.split_at(cut);
            let (second, third) = second.split_at(second.len() / 3);
            assert_eq!(key.tag(iv, &[first, second, third]), key.tag(iv, &[&case.message]), "{} cut at {cut}", case.id);
        }
    }
}
