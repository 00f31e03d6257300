//! READ_FLASH: packets in a window, and a digest of all behind them.

use std::ops::Range;

use guru_link::Link;
use guru_stub::Kind;
use guru_wire::{Command, Opcode};
use md5::{Digest, Md5};

use crate::channel::Fault;
use crate::progress::Meter;
use crate::{Error, Observer, Session};

/// Bytes of a packet.
const PACKET: u32 = 4096;

/// Bytes of a packet on a line that has shown faults.
const SHORT_PACKET: u32 = 1024;

/// Packets that may be on their way unacknowledged: enough for the longest way, and not more than is
/// soon read away when a read is given up.
const WINDOW: u32 = 16;

/// Packets that are acknowledged together, to a stub of ours. Espressif's first ones take the window for
/// bytes, and so send a packet only when the one before is acknowledged.
const TOGETHER: u32 = 4;

/// The shortest piece that is asked for on a bad line, in bytes.
const SHORTEST: u32 = 1024;

/// Attempts at one piece.
const ATTEMPTS: u32 = 40;

/// Attempts at the few bytes of a proof.
const FEW_ATTEMPTS: u32 = 8;

/// Bytes that came, and why not more did.
struct Came {
    bytes: Vec<u8>,
    /// `Ok`: all, and the digest fits.
    end: Result<(), Fault>,
}

impl<L: Link> Session<L> {
    /// Reads a few bytes in one go, as long as they come. `None`: they do not.
    pub(super) async fn read_by_stub(
        &mut self,
        range: &Range<u32>,
    ) -> Result<Option<Vec<u8>>, Error> {
        for _ in 0..FEW_ATTEMPTS {
            let mut meter = Meter::new(crate::event::Step::Read, range.start, 0);
            let came = self
                .stream_by_stub(range, PACKET, &mut || {}, &mut meter, &mut |_| {})
                .await;
            match came.end {
                Ok(()) => return Ok(Some(came.bytes)),
                Err(Fault::Link(error)) => return Err(error.into()),
                Err(_) => {
                    if !self.channel.resync().await? {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Reads a range through the stub; each piece of it is proved by digest. Fewer bytes than asked for
    /// mean that the stub is there no longer. `meanwhile` is called when the chip has been asked.
    pub(crate) async fn read_range_by_stub(
        &mut self,
        range: &Range<u32>,
        meanwhile: &mut dyn FnMut(),
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(range.len());
        let mut at = range.start;
        let mut piece = u32::MAX;
        let mut failures = 0;
        while at < range.end && self.stub_runs() {
            let end = range.end.min(at.saturating_add(piece));
            let packet = if self.channel.faults() > 0 {
                SHORT_PACKET
            } else {
                PACKET
            };
            let mut came = self
                .stream_by_stub(&(at..end), packet, meanwhile, meter, observer)
                .await;
            if let Err(fault) = came.end {
                self.mend(fault, observer).await?;
                let good = self.proved_head(at, &came.bytes, observer).await?;
                came.bytes.truncate(good);
                piece = (piece.min(end - at) / 2).max(SHORTEST);
            } else {
                piece = piece.saturating_mul(2);
            }
            failures = if came.bytes.is_empty() {
                failures + 1
            } else {
                0
            };
            if failures > ATTEMPTS {
                return Err(Error::LineTooBad {
                    address: at,
                    what: "read",
                    attempts: failures,
                });
            }
            at += came.bytes.len() as u32;
            bytes.append(&mut came.bytes);
            meter.at(at, observer);
        }
        Ok(bytes)
    }

    /// How many of the first bytes that came are what stands in flash. None behind the answer was
    /// protected.
    async fn proved_head(
        &mut self,
        start: u32,
        bytes: &[u8],
        observer: &mut dyn Observer,
    ) -> Result<usize, Error> {
        let length = bytes.len() / SHORTEST as usize * SHORTEST as usize;
        if length == 0 {
            return Ok(0);
        }
        let expected = Md5::digest(&bytes[..length]).into();
        let range = start..start + length as u32;
        let differs = self
            .insist(observer, async |session, _| {
                session.differs(&range, expected).await
            })
            .await?;
        Ok(if differs.is_none() { length } else { 0 })
    }

    /// One READ_FLASH.
    async fn stream_by_stub(
        &mut self,
        range: &Range<u32>,
        packet: u32,
        meanwhile: &mut dyn FnMut(),
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Came {
        let mut bytes = Vec::with_capacity(range.len());
        let end = self
            .take_packets(range, packet, meanwhile, &mut bytes, meter, observer)
            .await;
        if matches!(end, Err(Fault::Silence | Fault::Damaged)) {
            self.channel.count_fault();
        }
        Came { bytes, end }
    }

    async fn take_packets(
        &mut self,
        range: &Range<u32>,
        packet: u32,
        meanwhile: &mut dyn FnMut(),
        bytes: &mut Vec<u8>,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<(), Fault> {
        let command = Command::ReadFlash {
            offset: range.start,
            length: range.end - range.start,
            packet,
            window: WINDOW,
        };
        let timeout = self.channel.timeouts.command * self.line.patience;
        self.channel.send(&command).await?;
        meanwhile();
        self.channel
            .await_answer(Opcode::ReadFlash, timeout)
            .await?;
        let (mut packets, mut md5) = (0, Md5::new());
        let own = self.stub.running.is_some_and(|it| it.kind == Kind::Guru);
        let together = if own { TOGETHER } else { 1 };
        while bytes.len() < range.len() {
            let due = (packet as usize).min(range.len() - bytes.len());
            let came = self.channel.frame(timeout).await?;
            if came.len() != due {
                return Err(Fault::Damaged);
            }
            packets += 1;
            let have = bytes.len() + due;
            let whole = have == range.len();
            if whole || packets % together == 0 {
                let acknowledged = (have as u32).to_le_bytes();
                self.channel.send_frame(&acknowledged).await?;
            }
            // More is on its way meanwhile.
            bytes.extend_from_slice(&came);
            md5.update(&came);
            meter.sent(due as u64, range.start + bytes.len() as u32, observer);
        }
        let digest = self.channel.frame(timeout).await?;
        if digest != md5.finalize().as_slice() {
            // Some byte of the packets, or of the digest itself.
            return Err(Fault::Damaged);
        }
        Ok(())
    }
}
