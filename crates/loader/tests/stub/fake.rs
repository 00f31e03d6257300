//! A simulated chip that, once a program is started in its RAM, answers as Guru's stub does. The
//! flash is the chip's; what the stub does to it costs no time.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use flate2::{Decompress, FlushDecompress};
use guru_chip::Chip;
use guru_link::{Instant, Lines, Link, LinkError, PortInfo};
use guru_sim::SimLink;
use guru_sim::flash::Flash;
use guru_wire::slip::{self, Decoder, Event};
use guru_wire::{Command, CommandError, ErrorCode, Opcode, RegisterWrite, Response, capability};
use md5::{Digest, Md5};

const SECTOR: u32 = 4096;

/// What is wrong with the stub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    #[default]
    None,
    /// It never greets.
    Silent,
    /// It is dead as soon as the CPU runs faster, up to the next reset.
    DiesWhenFast,
    /// It reads flash wrongly.
    Misreads,
    /// It reports success and writes nothing.
    WritesNothing,
    /// Each of its frames, and each that comes, is lost now and then: one in so many.
    Loses(u32),
    /// The chip is reset into its loader when so many blocks have come.
    Resets(u32),
}

/// What went on.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    pub starts: u32,
    pub begins: u32,
    /// How often the CPU was made faster.
    pub raised: u32,
    /// Blocks that were taken.
    pub blocks: u32,
    /// Sectors erased or programmed.
    pub touched: Vec<u32>,
    /// Bytes to and from the chip.
    pub bytes: u64,
}

pub struct FakeStub {
    inner: SimLink,
    chip: &'static Chip,
    decoder: Decoder,
    flash: Flash,
    fault: Fault,
    runs: bool,
    dead: bool,
    answers: VecDeque<u8>,
    stream: Option<Stream>,
    /// State of a linear congruential generator.
    random: u32,
    reading: Option<Reading>,
    pub counts: Counts,
}

struct Stream {
    at: u32,
    end: u32,
    expected: u32,
    inflater: Option<Decompress>,
}

struct Reading {
    frames: VecDeque<(u32, Vec<u8>)>,
}

impl FakeStub {
    pub fn open(url: &str, fault: Fault) -> Self {
        let chip = url
            .strip_prefix("sim://")
            .and_then(|url| url.split('?').next());
        let inner = SimLink::open(url, guru_link::Cancel::default()).unwrap();
        Self {
            flash: inner.flash(),
            inner,
            chip: chip.and_then(guru_chip::by_id).unwrap(),
            decoder: Decoder::new(0x5000),
            fault,
            runs: false,
            dead: false,
            answers: VecDeque::new(),
            stream: None,
            random: 0,
            reading: None,
            counts: Counts::default(),
        }
    }

    pub fn flash(&self) -> Flash {
        self.flash.clone()
    }

    pub fn stub_runs(&self) -> bool {
        self.runs
    }

    fn say(&mut self, packet: &[u8]) {
        if self.is_lost() {
            return;
        }
        let frame = slip::encode(packet);
        self.counts.bytes += frame.len() as u64;
        self.answers.extend(frame);
    }

    fn raises(&self, writes: &[RegisterWrite]) -> bool {
        let fast = self.chip.fast_clock.as_ref();
        let last = fast.and_then(|fast| fast.writes.last());
        last.is_some_and(|last| writes.iter().any(|write| write.address == last.bits.addr))
    }

    /// Whether the next frame is.
    fn is_lost(&mut self) -> bool {
        self.random = self
            .random
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        matches!(self.fault, Fault::Loses(rate) if (self.random >> 8).is_multiple_of(rate))
    }

    fn answer(&mut self, opcode: u8, value: u32, data: &[u8], error: Option<ErrorCode>) {
        let status = error.map_or(Ok(()), Err);
        self.say(&Response::new(opcode, value, data, status, 2).encode());
    }

    fn touch(&mut self, range: Range<u32>) {
        for sector in range.step_by(SECTOR as usize) {
            self.counts.touched.push(sector / SECTOR * SECTOR);
        }
    }

    fn store(&mut self, at: u32, bytes: &[u8]) {
        if self.fault != Fault::WritesNothing && !bytes.is_empty() {
            self.flash.load(at, bytes);
        }
    }

    fn erase(&mut self, range: Range<u32>) {
        self.touch(range.clone());
        self.store(range.start, &vec![0xFF; range.len()]);
    }

    fn begin(&mut self, offset: u32, size: u32, inflate: bool) {
        self.counts.begins += 1;
        let end = (offset + size).next_multiple_of(SECTOR);
        self.erase(offset / SECTOR * SECTOR..end);
        self.stream = Some(Stream {
            at: offset,
            end: offset + size,
            expected: 0,
            inflater: inflate.then(|| Decompress::new(true)),
        });
    }

    fn block(&mut self, opcode: u8, sequence: u32, data: &[u8]) {
        let Some(mut stream) = self.stream.take() else {
            let code = ErrorCode {
                failed: 0xC6,
                code: 0,
            };
            self.answer(opcode, 0, &[], Some(code));
            return;
        };
        let mut error = None;
        if sequence == stream.expected {
            self.counts.blocks += 1;
            stream.expected += 1;
            let bytes = match &mut stream.inflater {
                None => data.to_vec(),
                Some(inflater) => inflate(inflater, data),
            };
            assert!(stream.at + bytes.len() as u32 <= stream.end, "too much");
            self.store(stream.at, &bytes);
            stream.at += bytes.len() as u32;
        } else if sequence + 1 != stream.expected {
            error = Some(ErrorCode::STUB_BLOCK);
        }
        self.answer(opcode, stream.expected, &[], error);
        self.stream = Some(stream);
    }

    fn take(&mut self, packet: &[u8]) {
        if self.is_lost() {
            return;
        }
        if let (Some(reading), Ok(acked)) = (&mut self.reading, packet.try_into()) {
            // In order, as many as the window allows.
            let acked = u32::from_le_bytes(acked);
            let mut due = Vec::new();
            while reading.frames.front().is_some_and(|(at, _)| *at <= acked) {
                due.extend(reading.frames.pop_front());
            }
            for (_, frame) in due {
                self.say(&frame);
            }
            return;
        }
        self.reading = None;
        let command = match Command::decode(packet) {
            Ok(command) => command,
            Err(CommandError::WrongChecksum { opcode, .. }) => {
                let due = self.stream.as_ref().map_or(0, |stream| stream.expected);
                self.answer(opcode as u8, due, &[], Some(ErrorCode::STUB_CHECKSUM));
                return;
            }
            Err(_) => return,
        };
        let opcode = command.opcode() as u8;
        let misread = |bytes: Vec<u8>, fault| match fault {
            Fault::Misreads => bytes.iter().map(|byte| byte ^ 1).collect(),
            _ => bytes,
        };
        match command {
            Command::Sync => {
                for _ in 0..8 {
                    self.answer(opcode, 0, &[], None);
                }
            }
            Command::FlashBegin(begin) | Command::FlashDeflBegin(begin) => {
                let inflate = opcode == Opcode::FlashDeflBegin as u8;
                self.begin(begin.offset, begin.erase_size, inflate);
                self.answer(opcode, 0, &[], None);
            }
            Command::FlashData { sequence, data } | Command::FlashDeflData { sequence, data } => {
                if let Fault::Resets(after) = self.fault
                    && self.counts.blocks >= after
                {
                    self.fault = Fault::None;
                    self.runs = false;
                    return;
                }
                self.block(opcode, sequence, data);
            }
            Command::FlashEnd { .. } | Command::FlashDeflEnd { .. } => {
                let whole = self
                    .stream
                    .take()
                    .is_some_and(|stream| stream.at == stream.end);
                let code = ErrorCode {
                    failed: 0xC8,
                    code: 0,
                };
                self.answer(opcode, 0, &[], (!whole).then_some(code));
            }
            Command::EraseRegion { offset, length } => {
                self.erase(offset..offset + length);
                self.answer(opcode, 0, &[], None);
            }
            Command::SpiFlashMd5 { offset, length } => {
                let bytes = self.flash.read(offset..offset + length);
                self.answer(opcode, 0, &Md5::digest(bytes), None);
            }
            Command::DigestMap { offset, length } => {
                let bytes = self.flash.read(offset..offset + length);
                let sectors = bytes.chunks(SECTOR as usize);
                let map: Vec<u8> = sectors
                    .flat_map(|sector| Md5::digest(sector)[..4].to_vec())
                    .collect();
                self.answer(opcode, 0, &map, None);
            }
            Command::Capabilities { wanted } => {
                let granted = wanted & (capability::DIGEST_MAP | capability::SMALL_SLOTS);
                self.answer(opcode, granted, &[], None);
            }
            Command::ReadFlash {
                offset,
                length,
                packet,
                window,
            } => {
                self.answer(opcode, 0, &[], None);
                let bytes = misread(self.flash.read(offset..offset + length), self.fault);
                let mut frames: VecDeque<_> = bytes
                    .chunks(packet as usize)
                    .zip(0_u32..)
                    .map(|(frame, index)| {
                        let due = (index + 1).saturating_sub(window) * packet;
                        (due, frame.to_vec())
                    })
                    .collect();
                frames.push_back((length, Md5::digest(&bytes).to_vec()));
                while frames.front().is_some_and(|(due, _)| *due == 0) {
                    let frame = frames.pop_front().unwrap();
                    self.say(&frame.1);
                }
                self.reading = Some(Reading { frames });
            }
            Command::SpiSetParams { .. } | Command::ChangeBaudrate { .. } => {
                self.answer(opcode, 0, &[], None);
            }
            _ => {
                let code = ErrorCode {
                    failed: 0xC3,
                    code: 0,
                };
                self.answer(opcode, 0, &[], Some(code));
            }
        }
    }
}

fn inflate(inflater: &mut Decompress, mut data: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut out = vec![0; 1 << 16];
    loop {
        let (before, made) = (inflater.total_in(), inflater.total_out());
        inflater
            .decompress(data, &mut out, FlushDecompress::None)
            .unwrap();
        data = &data[(inflater.total_in() - before) as usize..];
        let count = (inflater.total_out() - made) as usize;
        all.extend_from_slice(&out[..count]);
        if count < out.len() && data.is_empty() || count == 0 {
            return all;
        }
    }
}

impl Link for FakeStub {
    fn info(&self) -> &PortInfo {
        self.inner.info()
    }

    async fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize, LinkError> {
        if !self.answers.is_empty() {
            let count = buffer.len().min(self.answers.len());
            for (to, byte) in buffer.iter_mut().zip(self.answers.drain(..count)) {
                *to = byte;
            }
            return Ok(count);
        }
        let count = self.inner.read(buffer, deadline).await?;
        self.counts.bytes += count as u64;
        Ok(count)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.counts.bytes += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (count, event) = self.decoder.push(rest);
            rest = &rest[count..];
            let Some(Event::Packet(packet)) = event else {
                continue;
            };
            let opcode = packet.get(1).copied().and_then(Opcode::from_byte);
            // Registers are the chip's, whoever is asked.
            let register = matches!(opcode, Some(Opcode::ReadReg | Opcode::WriteReg));
            let entry = match Command::decode(&packet) {
                Ok(Command::MemEnd { entry }) => entry,
                Ok(Command::WriteReg { writes }) if self.raises(&writes) => {
                    self.counts.raised += 1;
                    self.dead = self.fault == Fault::DiesWhenFast;
                    None
                }
                _ => None,
            };
            if self.dead {
                continue;
            }
            if !self.runs && entry.is_some() {
                self.counts.starts += 1;
                self.runs = true;
                self.stream = None;
                self.answer(Opcode::MemEnd as u8, 0, &[], None);
                if self.fault != Fault::Silent {
                    self.say(b"OHAI");
                }
            } else if self.runs && !register && self.fault == Fault::Silent {
            } else if self.runs && !register {
                self.take(&packet);
            } else {
                self.inner.write(&slip::encode(&packet)).await?;
            }
        }
        Ok(())
    }

    async fn set_baud(&mut self, baud: u32) -> Result<(), LinkError> {
        self.inner.set_baud(baud).await
    }

    fn baud(&self) -> u32 {
        self.inner.baud()
    }

    async fn set_lines(&mut self, lines: Lines) -> Result<(), LinkError> {
        if lines.rts == Some(true) {
            self.runs = false;
            self.dead = false;
        }
        self.inner.set_lines(lines).await
    }

    async fn discard_input(&mut self) -> Result<(), LinkError> {
        self.answers.clear();
        self.inner.discard_input().await
    }

    async fn reopen(&mut self) -> Result<(), LinkError> {
        self.inner.reopen().await
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }

    async fn sleep(&mut self, time: Duration) -> Result<(), LinkError> {
        self.inner.sleep(time).await
    }
}
