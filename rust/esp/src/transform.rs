//! The one trait behind which every suite stands.

/// A packet to seal or to open: SPI, sequence number, IV, payload with trailer, ICV, all in one slice.
pub struct Job<'a> {
    /// The sequence number, all 64 bits of it with ESN.
    pub sequence_number: u64,
    /// The whole packet.
    pub packet: &'a mut [u8],
}

/// Encryption with integrity under one key.
///
/// A transform owns its keys, erases them when it is dropped, and shows them to nobody. Bounds are checked by the SA before it
/// is called: a packet is at least SPI, sequence number, IV, trailer and ICV long, and payload with trailer is a multiple of
/// [`alignment`](Self::alignment).
///
/// What the suites need of it: counter modes (GCM, CCM, CTR, `ChaCha20`) write the sequence number as IV; CBC, whose IV must not
/// be foreseen (RFC 3602 3), owns the key of a generator; GMAC and NULL leave the payload as it is; integrity by HMAC covers
/// the high half of the sequence number with ESN (RFC 4303 2.2.1), which is why a [`Job`] carries all of it. AH, whose ICV
/// stands between header and payload and covers the IP header too, uses the codes themselves and no transform.
pub(crate) trait Transform: Send + Sync {
    /// Octets of IV in a packet.
    fn iv_len(&self) -> usize;

    /// Octets of ICV in a packet.
    fn icv_len(&self) -> usize;

    /// Payload and trailer together are a multiple of this many octets: a power of two, at least 4 (RFC 4303 2.4).
    fn alignment(&self) -> usize;

    /// Payload and trailer are padded to a multiple of this where that is cheaper: a power of two, at least the alignment.
    fn preferred_alignment(&self) -> usize {
        self.alignment()
    }

    /// Writes an IV as the cipher needs it: one that never repeats under this key in counter modes, one that cannot be foreseen in
    /// CBC.
    fn write_iv(&self, job: &mut Job<'_>);

    /// Encrypts under the IV that is there, and writes the ICV. SPI, sequence number, payload and trailer are already there.
    fn encrypt(&self, job: &mut Job<'_>);

    /// Writes the IV, encrypts, and writes the ICV.
    fn seal(&self, job: &mut Job<'_>) {
        self.write_iv(job);
        self.encrypt(job);
    }

    /// Checks the ICV and decrypts in place. False, with the packet's content undefined, when the ICV does not match.
    fn open(&self, job: &mut Job<'_>) -> bool;

    /// Whether several packets at once are faster than one after the other.
    fn side_by_side(&self) -> bool {
        false
    }

    /// Seals several packets; a suite whose cipher is a chain can work on them side by side.
    fn seal_batch(&self, jobs: &mut [Job<'_>]) {
        for job in jobs {
            self.seal(job);
        }
    }

    /// Opens several packets and says of each whether it was authentic; `authentic` is as long as `jobs`.
    fn open_batch(&self, jobs: &mut [Job<'_>], authentic: &mut [bool]) {
        for (job, authentic) in jobs.iter_mut().zip(authentic) {
            *authentic = self.open(job);
        }
    }
}
