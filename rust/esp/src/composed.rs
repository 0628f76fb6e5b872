//! Suites of a cipher and a separate code: encrypt, then authenticate (RFC 4303 3.3.2.1).

use subtle::ConstantTimeEq;

use crate::SPI_AND_SEQUENCE;
use crate::erased::Erased;
use crate::mac::{self, Icv, Mac, Message};
use crate::transform::{Job, Transform};

/// Packets that are worked on side by side.
const SIDE_BY_SIDE: usize = 64;

/// A cipher that does not authenticate. Only [`Composed`] uses it, which always has a code.
pub(crate) trait Cipher: Send + Sync {
    /// Octets of IV.
    const IV: usize;
    /// Payload and trailer are a multiple of this many octets, at least 4.
    const ALIGNMENT: usize;

    /// Writes an IV as the cipher needs it: one that never repeats under this key for CTR, one that cannot be foreseen for CBC.
    fn write_iv(&self, sequence_number: u64, iv: &mut [u8]);

    /// Encrypts what stands behind the IV in each of the packets.
    fn encrypt(&self, bodies: &mut [&mut [u8]]);

    /// Decrypts what stands behind the IV.
    fn decrypt(&self, body: &mut [u8]);
}

/// A suite of a cipher and a code.
pub(crate) struct Composed<C> {
    cipher: C,
    mac: Erased<dyn Mac>,
    esn: bool,
}

impl<C: Cipher> Composed<C> {
    pub(crate) fn new(cipher: C, mac: Erased<dyn Mac>, esn: bool) -> Self {
        Self { cipher, mac, esn }
    }

    fn message<'a>(&self, job: &'a Job<'_>) -> Message<'a> {
        let packet = &job.packet[..job.packet.len() - self.mac.icv_len()];
        Message { packet, high: self.esn.then(|| ((job.sequence_number >> 32) as u32).to_be_bytes()) }
    }

    fn seal_some(&self, jobs: &mut [Job<'_>]) {
        let (icv_len, count) = (self.mac.icv_len(), jobs.len());
        let mut bodies: [&mut [u8]; SIDE_BY_SIDE] = std::array::from_fn(|_| &mut [][..]);
        for (body, job) in bodies.iter_mut().zip(jobs.iter_mut()) {
            self.write_iv(job);
            let end = job.packet.len() - icv_len;
            *body = &mut job.packet[SPI_AND_SEQUENCE..end];
        }
        self.cipher.encrypt(&mut bodies[..count]);
        let icvs = self.icvs(jobs);
        for (job, icv) in jobs.iter_mut().zip(icvs) {
            let at = job.packet.len() - icv_len;
            job.packet[at..].copy_from_slice(&icv[..icv_len]);
        }
    }

    fn icvs(&self, jobs: &[Job<'_>]) -> [Icv; SIDE_BY_SIDE] {
        let mut messages = [Message { packet: &[], high: None }; SIDE_BY_SIDE];
        for (message, job) in messages.iter_mut().zip(jobs) {
            *message = self.message(job);
        }
        let mut icvs = [Icv::default(); SIDE_BY_SIDE];
        self.mac.mac_batch(&messages[..jobs.len()], &mut icvs[..jobs.len()]);
        icvs
    }

    fn decrypt(&self, job: &mut Job<'_>) {
        let end = job.packet.len() - self.mac.icv_len();
        self.cipher.decrypt(&mut job.packet[SPI_AND_SEQUENCE..end]);
    }
}

impl<C: Cipher> Transform for Composed<C> {
    fn iv_len(&self) -> usize {
        C::IV
    }

    fn icv_len(&self) -> usize {
        self.mac.icv_len()
    }

    fn alignment(&self) -> usize {
        C::ALIGNMENT
    }

    fn write_iv(&self, job: &mut Job<'_>) {
        self.cipher.write_iv(job.sequence_number, &mut job.packet[SPI_AND_SEQUENCE..SPI_AND_SEQUENCE + C::IV]);
    }

    fn encrypt(&self, job: &mut Job<'_>) {
        let end = job.packet.len() - self.mac.icv_len();
        self.cipher.encrypt(&mut [&mut job.packet[SPI_AND_SEQUENCE..end]]);
        let mut icv = Icv::default();
        let icv = &mut icv[..self.mac.icv_len()];
        let message = self.message(job);
        self.mac.mac(&[message.packet, message.suffix()], icv);
        job.packet[end..].copy_from_slice(icv);
    }

    fn open(&self, job: &mut Job<'_>) -> bool {
        let message = self.message(job);
        let authentic =
            mac::verify(&*self.mac, &[message.packet, message.suffix()], &job.packet[message.packet.len()..]);
        if authentic {
            self.decrypt(job);
        }
        authentic
    }

    fn side_by_side(&self) -> bool {
        true
    }

    fn seal_batch(&self, jobs: &mut [Job<'_>]) {
        for jobs in jobs.chunks_mut(SIDE_BY_SIDE) {
            match jobs {
                [job] => self.seal(job),
                _ => self.seal_some(jobs),
            }
        }
    }

    fn open_batch(&self, jobs: &mut [Job<'_>], authentic: &mut [bool]) {
        let icv_len = self.mac.icv_len();
        for (jobs, authentic) in jobs.chunks_mut(SIDE_BY_SIDE).zip(authentic.chunks_mut(SIDE_BY_SIDE)) {
            let icvs = self.icvs(jobs);
            for ((job, authentic), icv) in jobs.iter_mut().zip(authentic).zip(icvs) {
                *authentic = icv[..icv_len].ct_eq(&job.packet[job.packet.len() - icv_len..]).into();
                if *authentic {
                    self.decrypt(job);
                }
            }
        }
    }
}
