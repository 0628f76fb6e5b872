//! A suite of another kind behind the trait: no IV, no encryption, HMAC for integrity, packets in batches.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use ring::hmac;

use crate::erased::Erased;
use crate::transform::{Job, Transform};
use crate::{Drop, InboundSa, OutboundSa, ReplayWindow, Suite};

const ICV: usize = 16;

fn suite() -> Suite {
    Suite::from_keyword("null-sha256").unwrap()
}

/// NULL with HMAC-SHA2-256-128, separate integrity (RFC 4303 3.3.2.1), that counts how it is called.
struct Null {
    key: hmac::Key,
    esn: bool,
    batches: &'static AtomicUsize,
    singles: &'static AtomicUsize,
}

impl Null {
    fn boxed(esn: bool) -> (Erased<dyn Transform>, &'static AtomicUsize, &'static AtomicUsize) {
        let (batches, singles): (&AtomicUsize, &AtomicUsize) = (Box::leak(Box::default()), Box::leak(Box::default()));
        (
            Erased::new(Box::new(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &[9; 32]), esn, batches, singles })),
            batches,
            singles,
        )
    }

    fn icv(&self, sequence_number: u64, covered: &[u8]) -> [u8; ICV] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(covered);
        if self.esn {
            context.update(&sequence_number.to_be_bytes()[..4]);
        }
        context.sign().as_ref()[..ICV].try_into().unwrap()
    }
}

impl Transform for Null {
    fn iv_len(&self) -> usize {
        0
    }

    fn icv_len(&self) -> usize {
        ICV
    }

    fn alignment(&self) -> usize {
        4
    }

    fn write_iv(&self, _: &mut Job<'_>) {}

    fn encrypt(&self, job: &mut Job<'_>) {
        self.singles.fetch_add(1, Relaxed);
        let (covered, icv) = job.packet.split_at_mut(job.packet.len() - ICV);
        icv.copy_from_slice(&self.icv(job.sequence_number, covered));
    }

    fn open(&self, job: &mut Job<'_>) -> bool {
        self.singles.fetch_add(1, Relaxed);
        let (covered, icv) = job.packet.split_at(job.packet.len() - ICV);
        self.icv(job.sequence_number, covered) == icv
    }

    fn side_by_side(&self) -> bool {
        true
    }

    fn open_batch(&self, jobs: &mut [Job<'_>], authentic: &mut [bool]) {
        self.batches.fetch_add(1, Relaxed);
        assert_eq!(jobs.len(), authentic.len());
        for (job, authentic) in jobs.iter_mut().zip(authentic) {
            let (covered, icv) = job.packet.split_at(job.packet.len() - ICV);
            *authentic = self.icv(job.sequence_number, covered) == icv;
        }
    }
}

fn pair(esn: bool, last: u64) -> (OutboundSa, InboundSa, &'static AtomicUsize, &'static AtomicUsize) {
    let outbound = OutboundSa::with_transform(7, suite(), Null::boxed(esn).0, esn, last);
    let (transform, batches, singles) = Null::boxed(esn);
    let window = ReplayWindow::new(64, esn, last);
    (outbound, InboundSa::with_transform(7, suite(), transform, esn, window), batches, singles)
}

fn sealed(sa: &OutboundSa, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; sa.packet_len(payload.len())];
    packet[sa.header_len()..][..payload.len()].copy_from_slice(payload);
    sa.seal_in_place(sa.claim(1).unwrap().start, &mut packet, payload.len(), 4);
    packet
}

#[test]
fn separate_integrity_covers_the_half_that_is_not_sent() {
    let (outbound, inbound, ..) = pair(true, 3 << 32 | 5);
    let packet = sealed(&outbound, b"in clear");
    assert_eq!(&packet[8..16], b"in clear");
    assert_eq!(packet.len(), 8 + 8 + 4 + ICV);
    let opened = inbound.open_in_place(&mut packet.clone()).unwrap();
    assert_eq!(opened.sequence_number, 3 << 32 | 6);
    let (_, elsewhere, ..) = pair(true, 4 << 32 | 5);
    assert_eq!(elsewhere.open_in_place(&mut packet.clone()), Err(Drop::IcvMismatch));
}

#[test]
fn a_batch_reaches_the_transform_as_batches_without_what_cannot_be_accepted() {
    let (outbound, inbound, batches, singles) = pair(false, 0);
    let mut packets: Vec<Vec<u8>> = (0..70).map(|octet| sealed(&outbound, &[octet; 20])).collect();
    packets[0].truncate(11);
    packets[33][9] ^= 1;
    packets[69] = packets[68].clone();
    let mut slices: Vec<&mut [u8]> = packets.iter_mut().map(Vec::as_mut_slice).collect();
    let mut results = vec![Err(Drop::Dummy); 70];
    inbound.open_batch(&mut slices, &mut results);
    for (index, result) in results.iter().enumerate() {
        let expected = match index {
            0 => Err(Drop::Malformed),
            33 => Err(Drop::IcvMismatch),
            69 => Err(Drop::Replayed),
            _ => Ok(index as u64 + 1),
        };
        assert_eq!(result.as_ref().map(|opened| opened.sequence_number).map_err(|reason| *reason), expected);
    }
    assert_eq!((batches.load(Relaxed), singles.load(Relaxed)), (3, 0));
}
