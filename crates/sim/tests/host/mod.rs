//! A host that speaks the protocol without any wisdom, for the tests of the simulator.

#![expect(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses another part of it, and a failure is a failed test"
)]

use std::time::Duration;

use guru_link::{Cancel, Lines, Link, ResetSequence, block_on};
use guru_sim::{SimLink, SimOptions};
use guru_wire::slip::{Decoder, Event};
use guru_wire::{Begin, Command, ErrorCode, RegisterWrite, Response, slip};

pub struct Host {
    pub link: SimLink,
    decoder: Decoder,
    pub text: Vec<u8>,
    pending: Vec<Response>,
}

/// Status and data of an answer.
pub type Reply = Result<Vec<u8>, ErrorCode>;

impl Host {
    pub fn open(url: &str) -> Self {
        Self::new(&url.parse().unwrap())
    }

    pub fn new(options: &SimOptions) -> Self {
        Self {
            link: SimLink::new(options, Cancel::default()).unwrap(),
            decoder: Decoder::new(0x4000),
            text: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// A host that has synchronised with a chip in its loader.
    pub fn synced(url: &str) -> Self {
        let mut host = Self::open(url);
        host.sync();
        host
    }

    pub fn sync(&mut self) {
        // A boot log at another rate looks like the beginning of a packet.
        self.collect(Duration::from_millis(60));
        self.decoder = Decoder::new(0x4000);
        for _ in 0..5 {
            self.send(&Command::Sync);
            let answers = self.collect(Duration::from_millis(300));
            if answers.iter().any(|answer| answer.opcode == 0x08) {
                assert!(answers.len() >= 8, "{} answers to SYNC", answers.len());
                return;
            }
        }
        panic!("no answer to SYNC");
    }

    pub fn send(&mut self, command: &Command<'_>) {
        self.send_packet(&command.encode());
    }

    pub fn send_packet(&mut self, packet: &[u8]) {
        block_on(self.link.write(&slip::encode(packet))).unwrap();
    }

    /// Every answer that comes within a time.
    pub fn collect(&mut self, time: Duration) -> Vec<Response> {
        let deadline = self.link.now() + time;
        let mut found = std::mem::take(&mut self.pending);
        while self.fill(deadline) {
            found.append(&mut self.pending);
        }
        found
    }

    /// The next answer.
    pub fn answer(&mut self) -> Option<Response> {
        let deadline = self.link.now() + Duration::from_secs(200);
        while self.pending.is_empty() {
            if !self.fill(deadline) {
                return None;
            }
        }
        Some(self.pending.remove(0))
    }

    fn fill(&mut self, deadline: guru_link::Instant) -> bool {
        let mut buffer = [0; 4096];
        let len = block_on(self.link.read(&mut buffer, deadline)).unwrap();
        let mut rest = &buffer[..len];
        while !rest.is_empty() {
            let (taken, event) = self.decoder.push(rest);
            rest = &rest[taken..];
            match event {
                Some(Event::Packet(packet)) => {
                    if let Ok(response) = Response::decode(&packet) {
                        self.pending.push(response);
                    }
                }
                Some(Event::Text(text)) => self.text.extend(text),
                _ => {}
            }
        }
        len > 0
    }

    /// Status of the answer to a command; `status_len` bytes are cut off.
    pub fn ask(&mut self, command: &Command<'_>) -> Reply {
        self.send(command);
        let answer = self.answer().expect("no answer");
        assert_eq!(answer.opcode, command.opcode() as u8);
        self.split(answer)
    }

    pub fn split(&self, answer: Response) -> Reply {
        let options: SimOptions = self.link.info().name.parse().unwrap();
        let len = answer.body.len() - usize::from(options.chip.rom.status_len);
        match answer.body[len..] {
            [0, 0, ..] => Ok(answer.body[..len].to_vec()),
            [failed, code, ..] => Err(ErrorCode { failed, code }),
            _ => panic!("no status"),
        }
    }

    pub fn read_reg(&mut self, address: u32) -> u32 {
        self.send(&Command::ReadReg { address });
        self.answer().expect("no answer").value
    }

    pub fn write_reg(&mut self, address: u32, value: u32) {
        let reply = self.ask(&Command::WriteReg {
            writes: vec![RegisterWrite {
                address,
                value,
                mask: u32::MAX,
                delay_us: 0,
            }],
        });
        assert_eq!(reply, Ok(vec![]));
    }

    pub fn chip(&self) -> &'static guru_chip::Chip {
        let options: SimOptions = self.link.info().name.parse().unwrap();
        options.chip
    }

    /// Attaches the flash in the way of the chip.
    pub fn attach(&mut self) {
        let chip = self.chip();
        if chip.rom.commands.contains(&0x0D) {
            self.ask(&Command::SpiAttach { pins: 0 }).unwrap();
            let size = self.link.flash().size();
            self.ask(&Command::SpiSetParams { size }).unwrap();
        } else {
            self.begin(0, 0, 0, 0).unwrap();
        }
    }

    pub fn begin(&mut self, erase_size: u32, blocks: u32, block_size: u32, offset: u32) -> Reply {
        let begin = self.words(erase_size, blocks, block_size, offset);
        self.ask(&Command::FlashBegin(begin))
    }

    pub fn words(&self, erase_size: u32, blocks: u32, block_size: u32, offset: u32) -> Begin {
        Begin {
            erase_size,
            blocks,
            block_size,
            offset,
            encrypted: self.chip().rom.encrypts().then_some(false),
        }
    }

    pub fn data(&mut self, sequence: u32, data: &[u8]) -> Reply {
        self.ask(&Command::FlashData { sequence, data })
    }

    /// Runs a command of the flash through the controller's registers.
    pub fn spi(&mut self, command: u8, address: Option<u32>, data: &[u8], read_bits: u32) -> u32 {
        let spi = &self.chip().spi;
        let mut usr = 1 << 31;
        let mut usr1 = 0;
        if address.is_some() {
            usr |= 1 << 30;
            usr1 |= 23 << 26;
        }
        if !data.is_empty() {
            usr |= 1 << 27;
        }
        if read_bits > 0 {
            usr |= 1 << 28;
        }
        if command == 0x5A {
            usr |= 1 << 29;
            usr1 |= 7;
        }
        let (mosi, miso) = (data.len() as u32 * 8, read_bits);
        match spi.lengths {
            guru_chip::SpiLengths::Registers {
                mosi: mosi_reg,
                miso: miso_reg,
            } => {
                self.write_reg(mosi_reg, mosi.saturating_sub(1));
                self.write_reg(miso_reg, miso.saturating_sub(1));
            }
            guru_chip::SpiLengths::InUsr1 => {
                usr1 |= miso.saturating_sub(1) << 8 | mosi.saturating_sub(1) << 17;
            }
        }
        self.write_reg(spi.usr1, usr1);
        self.write_reg(spi.usr, usr);
        self.write_reg(spi.usr2, 7 << 28 | u32::from(command));
        if let Some(address) = address {
            let shift = if spi.address_msb { 8 } else { 0 };
            self.write_reg(spi.addr, address << shift);
        }
        self.write_reg(spi.w0, 0);
        for (word, bytes) in (0..).zip(data.chunks(4)) {
            let mut value = [0; 4];
            value[..bytes.len()].copy_from_slice(bytes);
            self.write_reg(spi.w0 + word * 4, u32::from_le_bytes(value));
        }
        self.write_reg(spi.cmd, 1 << 18);
        assert_eq!(self.read_reg(spi.cmd) & 1 << 18, 0);
        self.read_reg(spi.w0)
    }

    pub fn reset_into_loader(&mut self) {
        let sequence = ResetSequence::classic(Duration::from_millis(50));
        block_on(sequence.play(&mut self.link)).unwrap();
    }

    pub fn reset(&mut self) {
        block_on(ResetSequence::hard(false).play(&mut self.link)).unwrap();
    }

    pub fn lines(&mut self, dtr: bool, rts: bool) {
        block_on(self.link.set_lines(Lines::both(dtr, rts))).unwrap();
    }

    /// What comes within a time, as text.
    pub fn listen(&mut self, time: Duration) -> String {
        let deadline = self.link.now() + time;
        let mut text = Vec::new();
        let mut buffer = [0; 1024];
        loop {
            let len = block_on(self.link.read(&mut buffer, deadline)).unwrap();
            if len == 0 {
                return String::from_utf8_lossy(&text).into_owned();
            }
            text.extend_from_slice(&buffer[..len]);
        }
    }

    pub fn set_baud(&mut self, baud: u32) {
        block_on(self.link.set_baud(baud)).unwrap();
    }
}

pub fn zlib(data: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}
