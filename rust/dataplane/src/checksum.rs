//! Internet checksums (RFC 1071) over packets, alone or while copying. One's complement sums in host byte order: the
//! result of `fold` may be stored as it is.

#[cfg(target_arch = "x86_64")]
mod narrow;
#[cfg(target_arch = "x86_64")]
mod wide;

/// Sum of `data` as 16-bit words, not folded; an odd last octet counts as the high octet of a word.
#[must_use]
pub fn sum(data: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if wide::available() {
        // SAFETY: the processor has what it is compiled for.
        return unsafe { wide::sum(data) };
    } else if narrow::available() {
        // SAFETY: the processor has what it is compiled for.
        return unsafe { narrow::sum(data) };
    }
    sum_words(data)
}

/// Copies `source` into `target`, which is as long, and returns the sum of what was copied.
///
/// # Panics
///
/// When they are not equally long.
pub fn copy_and_sum(target: &mut [u8], source: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if wide::available() {
        // SAFETY: the processor has what it is compiled for.
        return unsafe { wide::copy_and_sum(target, source) };
    }
    target.copy_from_slice(source);
    sum(target)
}

/// As `sum`, for headers and addresses: whole words of 32 bits, too few of them to be worth any preparation.
#[inline]
#[must_use]
pub fn sum_few(data: &[u8]) -> u64 {
    data.as_chunks().0.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum()
}

/// Folds a sum to 16 bits.
#[must_use]
pub fn fold(sum: u64) -> u16 {
    let mut sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// Sum of the pseudo header: both addresses as they stand in the packet, the length and the protocol.
#[must_use]
#[inline]
pub fn pseudo_header(addresses: &[u8], l4_len: usize, protocol: u8) -> u64 {
    sum_few(addresses) + u64::from((l4_len as u16).to_be()) + u64::from(u16::from(protocol).to_be())
}

/// A checksum after what it covers has changed from words that sum up to `before` to words that sum up to `after` (RFC 1624
/// equation 3). One that was wrong stays wrong.
#[inline]
#[must_use]
pub fn changed(check: u16, before: u64, after: u64) -> u16 {
    !fold(u64::from(!check) + u64::from(!fold(before)) + u64::from(fold(after)))
}

/// Writes the IPv4 header checksum of `header`.
#[inline]
pub fn set_ipv4_header(header: &mut [u8]) {
    header[10..12].fill(0);
    let check = !fold(sum_few(header));
    header[10..12].copy_from_slice(&check.to_ne_bytes());
}

/// Two octets of a packet as they are summed.
#[inline]
#[must_use]
pub fn word(octets: &[u8], at: usize) -> u64 {
    octets[at..at + 2].first_chunk().map_or(0, |word| u64::from(u16::from_ne_bytes(*word)))
}

/// What takes a word out of a sum again.
#[inline]
#[must_use]
pub fn without(word: u64) -> u64 {
    0xffff - word
}

fn sum_words(data: &[u8]) -> u64 {
    let mut lanes = [0_u64; 8];
    let mut blocks = data.chunks_exact(32);
    for block in &mut blocks {
        for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(4)) {
            *lane += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
        }
    }
    let mut total: u64 = lanes.iter().sum();
    let mut words = blocks.remainder().chunks_exact(2);
    for word in &mut words {
        total += u64::from(u16::from_ne_bytes([word[0], word[1]]));
    }
    if let [last] = words.remainder() {
        total += u64::from(u16::from_ne_bytes([*last, 0]));
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(data: &[u8]) -> u16 {
        let mut total = 0_u32;
        for word in data.chunks(2) {
            total += u32::from(u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)]));
            total = (total & 0xffff) + (total >> 16);
        }
        (total as u16).to_be()
    }

    /// What each of the implementations gives that this processor can run.
    fn sums(data: &[u8]) -> Vec<u16> {
        let mut all = vec![fold(sum(data)), fold(sum_words(data))];
        #[cfg(target_arch = "x86_64")]
        if narrow::available() {
            // SAFETY: the processor has what it is compiled for.
            all.push(fold(unsafe { narrow::sum(data) }));
        }
        all
    }

    #[test]
    fn agrees_with_the_word_by_word_definition_at_every_length() {
        let data: Vec<u8> = (0..1500_u32).map(|i| (i * 7 + 255) as u8).collect();
        for length in 0..data.len() {
            let expected = plain(&data[..length]);
            assert!(sums(&data[..length]).iter().all(|sum| *sum == expected), "length {length}");
        }
    }

    #[test]
    fn sums_of_all_ones_do_not_overflow() {
        let data = vec![0xff; 65535];
        assert!(sums(&data).iter().all(|sum| *sum == plain(&data)));
    }

    #[test]
    fn an_ipv4_header_with_its_checksum_sums_to_all_ones() {
        let mut header = [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];
        set_ipv4_header(&mut header);
        assert_eq!(&header[10..12], &[0xb8, 0x61]);
        assert_eq!(fold(sum(&header)), 0xffff);
    }

    #[test]
    fn a_checksum_follows_a_change_of_what_it_covers_and_stays_wrong_when_it_was() {
        let mut packet = [0x45, 0, 0, 0x73, 0xff, 0xff, 0x40, 0];
        let right = !fold(sum(&packet));
        let before = sum(&packet[2..6]);
        packet[2..6].copy_from_slice(&[0, 0, 0, 1]);
        let after = sum(&packet[2..6]);
        assert_eq!(changed(right, before, after), !fold(sum(&packet)));
        assert_ne!(changed(right ^ 1, before, after), !fold(sum(&packet)));
    }

    #[test]
    fn copying_sums_what_was_copied_and_writes_nothing_else() {
        let data: Vec<u8> = (0..400_u32).map(|i| (i * 11 + 3) as u8).collect();
        for length in 0..data.len() {
            let source = &data[..length];
            let mut target = [0xee; 402];
            assert_eq!(copy_and_sum(&mut target[1..=length], source), sum(source));
            assert_eq!(&target[1..=length], source);
            assert!(target[0] == 0xee && target[length + 1..].iter().all(|octet| *octet == 0xee), "length {length}");
        }
    }
}
