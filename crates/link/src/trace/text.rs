use std::fmt::Write as _;

use guru_wire::slip::{self, Damage, Decoder};
use guru_wire::{Begin, Command, CommandError, Opcode, Response};

use super::file::hex;
use super::{Event, Record, TraceHeader, TraceSink};
use crate::Instant;

/// Makes lines for people of a session: packets with their names and fields, text, lines, baud
/// rates, each with the time since the line before. Device text comes escaped.
pub struct TraceText<F> {
    line: F,
    last: Option<Instant>,
    to_chip: Decoder,
    from_chip: Decoder,
    asked: Option<Opcode>,
}

/// Longest packet that is decoded, in bytes; a stub's blocks are 16 KiB.
const MAX_PACKET: usize = 0x1_0000;

/// Most bytes of a block that are shown; a trace file has them all.
const SHOWN: usize = 16;

impl<F: FnMut(&str)> TraceText<F> {
    /// Gives each line, without its end, to `line`.
    pub fn new(line: F) -> Self {
        Self {
            line,
            last: None,
            to_chip: Decoder::new(MAX_PACKET),
            from_chip: Decoder::new(MAX_PACKET),
            asked: None,
        }
    }

    fn put(&mut self, at: Instant, text: &str) {
        let since = self.last.map_or(at.0, |last| at - last);
        self.last = Some(at);
        (self.line)(&format!("+{:.6} {text}", since.as_secs_f64()));
    }

    fn written(&mut self, at: Instant, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (taken, event) = self.to_chip.push(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
            match event {
                Some(slip::Event::Packet(packet)) => {
                    let text = self.command(&packet);
                    self.put(at, &format!("-> {text}"));
                }
                Some(other) => self.put(at, &format!("-> {}", unframed(&other))),
                None => {}
            }
        }
    }

    fn read(&mut self, at: Instant, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (taken, event) = self.from_chip.push(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
            match event {
                Some(slip::Event::Packet(packet)) => {
                    let text = self.response(&packet);
                    self.put(at, &format!("<- {text}"));
                }
                Some(other) => self.put(at, &format!("<- {}", unframed(&other))),
                None => {}
            }
        }
    }

    fn command(&mut self, packet: &[u8]) -> String {
        match Command::decode(packet) {
            Ok(command) => {
                self.asked = Some(command.opcode());
                format!("{}{}", command.opcode(), fields(&command))
            }
            Err(CommandError::WrongChecksum { opcode, sequence }) => {
                self.asked = Some(opcode);
                format!("{opcode} block={sequence} WRONG CHECKSUM {}", dump(packet))
            }
            Err(CommandError::WrongLength(opcode)) => {
                self.asked = Some(opcode);
                format!("{opcode} {}", dump(packet))
            }
            Err(CommandError::NotARequest | CommandError::UnknownOpcode(_)) => {
                self.asked = None;
                format!("packet {}", dump(packet))
            }
        }
    }

    fn response(&self, packet: &[u8]) -> String {
        let Ok(response) = Response::decode(packet) else {
            return format!("packet {}", dump(packet));
        };
        let opcode = Opcode::from_byte(response.opcode);
        let mut text = match opcode {
            Some(opcode) => opcode.to_string(),
            None => format!("0x{:02x}", response.opcode),
        };
        if opcode != self.asked {
            text.push_str(" (not what was asked)");
        }
        if opcode == Some(Opcode::ReadReg) {
            let _ = write!(text, " value=0x{:08x}", response.value);
        }
        let length = data_length(opcode, response.body.len());
        match response.status(length) {
            Ok(Ok(())) => {
                let data = response.body.get(..length).unwrap_or_default();
                let _ = match opcode {
                    _ if data.is_empty() => Ok(()),
                    // A ROM answers with a digest's text.
                    Some(Opcode::SpiFlashMd5) if length == 32 => {
                        write!(text, " {}", data.escape_ascii())
                    }
                    _ => write!(text, " {}", hex(data)),
                };
                text.push_str(" ok");
            }
            Ok(Err(error)) => {
                let _ = write!(text, " FAILED {error}");
            }
            Err(error) => {
                let _ = write!(text, " {error}: {}", dump(&response.body));
            }
        }
        text
    }
}

/// How much of an answer's body is data: what the command answers with, if it is that long.
fn data_length(opcode: Option<Opcode>, body: usize) -> usize {
    let lengths: &[usize] = match opcode {
        Some(Opcode::ReadFlashSlow) => &[64],
        Some(Opcode::SpiFlashMd5) => &[32, 16],
        Some(Opcode::GetSecurityInfo) => &[20, 12],
        Some(Opcode::SdcInfoEnd) => &[64, 20],
        _ => &[],
    };
    let fits = |length: &&usize| body >= **length + 2;
    lengths.iter().find(fits).copied().unwrap_or_default()
}

fn fields(command: &Command<'_>) -> String {
    match command {
        Command::FlashBegin(begin) | Command::FlashDeflBegin(begin) => {
            let Begin {
                erase_size,
                blocks,
                block_size,
                offset,
                encrypted,
            } = begin;
            let encrypted = match encrypted {
                Some(true) => " encrypted",
                _ => "",
            };
            format!(
                " offset=0x{offset:x} erase=0x{erase_size:x} blocks={blocks} of {block_size} bytes{encrypted}"
            )
        }
        Command::FlashData { sequence, data }
        | Command::FlashDeflData { sequence, data }
        | Command::MemData { sequence, data } => format!(" block={sequence} {}", dump(data)),
        Command::FlashEnd { stay } | Command::FlashDeflEnd { stay } => {
            (if *stay { " stay" } else { " reboot" }).to_owned()
        }
        Command::MemBegin {
            size,
            blocks,
            block_size,
            address,
        } => {
            format!(" address=0x{address:x} size=0x{size:x} blocks={blocks} of {block_size} bytes")
        }
        Command::MemEnd { entry } => match entry {
            Some(entry) => format!(" entry=0x{entry:x}"),
            None => " stay".to_owned(),
        },
        Command::WriteReg { writes } => writes
            .iter()
            .map(|write| {
                format!(
                    " 0x{:08x} value=0x{:08x} mask=0x{:08x} delay={}us",
                    write.address, write.value, write.mask, write.delay_us
                )
            })
            .collect(),
        Command::ReadReg { address } => format!(" 0x{address:08x}"),
        Command::SpiSetParams { size } => format!(" size=0x{size:x}"),
        Command::SpiAttach { pins } => format!(" pins=0x{pins:x}"),
        Command::ReadFlashSlow { offset, length }
        | Command::SpiFlashMd5 { offset, length }
        | Command::EraseRegion { offset, length }
        | Command::DigestMap { offset, length } => {
            format!(" offset=0x{offset:x} length=0x{length:x}")
        }
        Command::ReadFlash {
            offset,
            length,
            packet,
            window,
        } => format!(" offset=0x{offset:x} length=0x{length:x} packets={window} of {packet} bytes"),
        Command::Capabilities { wanted } => format!(" wanted=0x{wanted:x}"),
        Command::ChangeBaudrate { new, old } => format!(" new={new} old={old}"),
        Command::SdcVerifyBegin { nonce, size } => {
            let nonce = if *nonce { " with nonce" } else { "" };
            format!(" size={size}{nonce}")
        }
        Command::SdcInfoBegin { nonce } => (if *nonce { " with nonce" } else { "" }).to_owned(),
        Command::SdcVerifyData { data } | Command::SdcInfoData { data } => {
            format!(" {}", dump(data))
        }
        Command::Sync
        | Command::GetSecurityInfo
        | Command::SdcVerifyEnd
        | Command::SdcInfoEnd
        | Command::EraseFlash => String::new(),
    }
}

fn unframed(event: &slip::Event) -> String {
    match event {
        slip::Event::Text(text) => format!("\"{}\"", text.escape_ascii()),
        slip::Event::Damaged(Damage::Escape(byte)) => {
            format!("damaged packet: 0x{byte:02x} is escaped")
        }
        slip::Event::Damaged(Damage::Oversized) => "damaged packet: it does not end".to_owned(),
        slip::Event::Packet(packet) => format!("packet {}", dump(packet)),
    }
}

fn dump(bytes: &[u8]) -> String {
    match bytes.get(..SHOWN) {
        Some(head) if bytes.len() > SHOWN => format!("{} bytes {}...", bytes.len(), hex(head)),
        _ => format!("{} bytes {}", bytes.len(), hex(bytes)),
    }
}

impl<F: FnMut(&str)> TraceSink for TraceText<F> {
    fn start(&mut self, header: &TraceHeader) {
        let text = format!(
            "== {} at {} baud",
            header.port.name.escape_debug(),
            header.baud
        );
        self.put(Instant::default(), &text);
    }

    fn record(&mut self, record: &Record<'_>) {
        let at = record.at;
        match &record.event {
            Event::Read(bytes) => self.read(at, bytes),
            Event::Write(bytes) => self.written(at, bytes),
            Event::Baud(baud) => self.put(at, &format!("== {baud} baud")),
            Event::Lines(lines) => {
                let mut text = "==".to_owned();
                for (name, level) in [("DTR", lines.dtr), ("RTS", lines.rts)] {
                    if let Some(level) = level {
                        let _ = write!(text, " {name}={}", u8::from(level));
                    }
                }
                self.put(at, &text);
            }
            Event::Discard => {
                self.from_chip.reset();
                self.put(at, "== input discarded");
            }
            Event::Lost => {
                self.from_chip.reset();
                self.to_chip.reset();
                self.put(at, "== the connection was lost");
            }
            Event::Reopen => self.put(at, "== opened again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use guru_wire::ErrorCode;
    use proptest::prelude::*;

    use super::*;

    fn lines(events: &[Event<'_>]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut text = TraceText::new(|line: &str| lines.push(line.to_owned()));
        for (at, event) in events.iter().enumerate() {
            text.record(&Record {
                at: Instant(Duration::from_millis(at as u64)),
                event: event.clone(),
            });
        }
        drop(text);
        lines
    }

    fn written(command: Command<'_>) -> Event<'static> {
        Event::Write(slip::encode(&command.encode()).into())
    }

    fn answered(response: Response) -> Event<'static> {
        Event::Read(slip::encode(&response.encode()).into())
    }

    #[test]
    fn packets_come_with_names_fields_and_status() {
        let events = [
            written(Command::ReadReg {
                address: 0x4000_1000,
            }),
            answered(Response::new(0x0A, 0xFFF0_C101, &[], Ok(()), 2)),
            written(Command::FlashData {
                sequence: 7,
                data: &[0xAB; 1024],
            }),
            answered(Response::new(0x03, 0, &[], Err(ErrorCode::CHECKSUM), 4)),
            answered(Response::new(0x13, 0, &[b'0'; 32], Ok(()), 4)),
        ];
        assert_eq!(
            lines(&events),
            [
                "+0.000000 -> READ_REG 0x40001000",
                "+0.001000 <- READ_REG value=0xfff0c101 ok",
                "+0.001000 -> FLASH_DATA block=7 1024 bytes abababababababababababababababab...",
                "+0.001000 <- FLASH_DATA FAILED 0107: checksum error",
                "+0.001000 <- SPI_FLASH_MD5 (not what was asked) 00000000000000000000000000000000 ok",
            ]
        );
    }

    #[test]
    fn what_a_device_prints_cannot_move_the_cursor() {
        let events = [Event::Read(b"boot:0x13\r\n\x1b[2J".as_slice().into())];
        assert_eq!(lines(&events), [r#"+0.000000 <- "boot:0x13\r\n\x1b[2J""#]);
    }

    #[test]
    fn packets_that_come_in_pieces_are_put_together() {
        let packet = slip::encode(&Response::new(0x08, 0, &[], Ok(()), 4).encode());
        let (head, tail) = packet.split_at(5);
        let events = [
            written(Command::Sync),
            Event::Read(head.into()),
            Event::Read(tail.into()),
        ];
        assert_eq!(
            lines(&events),
            ["+0.000000 -> SYNC", "+0.002000 <- SYNC ok"]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_print_controls(pieces: Vec<(bool, Vec<u8>)>) {
            let events: Vec<_> = pieces
                .into_iter()
                .map(|(out, bytes)| match out {
                    true => Event::Write(bytes.into()),
                    false => Event::Read(bytes.into()),
                })
                .collect();
            for line in lines(&events) {
                prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
    }
}
