//! One stream of a file: BEGIN, blocks, and what is done when it breaks.

use std::collections::VecDeque;
use std::ops::Range;

use flate2::{Decompress, FlushDecompress};
use guru_chip::InflateRule;
use guru_link::{Link, LinkError};
use guru_plan::{Form, SECTOR, Stream, erase_request, sector_floor};
use guru_wire::{Begin, Command, ErrorCode, Opcode};

use crate::channel::Fault;
use crate::compress::Packed;
use crate::digest::Placed;
use crate::progress::Meter;
use crate::{Error, Event, Notice, Observer, Session};

/// Attempts at one sector on a bad line.
const SECTOR_ATTEMPTS: u32 = 40;

/// Attempts at what the chip refuses each time with the same reason.
const REFUSALS: u32 = 3;

/// What an encrypted file is filled up to a multiple of, in bytes: a block of the Python tool.
const ENCRYPTED_UNIT: u32 = 0x400;

/// How many times longer than usual one block is waited for, at the most.
const MAX_BLOCK_PATIENCE: u32 = 4;

/// Why a stream did not come to its end.
pub(crate) enum Broken {
    /// It must be begun again. Contents before this address were taken, as far as answers say.
    Lost { reached: u32, fault: Fault },
    /// It cannot be mended by beginning again.
    Fatal(Error),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

/// What is to be written.
pub(crate) struct Payload<'a> {
    /// The contents.
    pub placed: Placed<'a>,
    /// The zlib stream of the whole stream, if it goes compressed, and what it was planned for.
    pub packed: Option<(Packed, InflateRule)>,
    /// Whether the chip shall encrypt.
    pub encrypt: bool,
}

/// What is sent behind one BEGIN.
pub(crate) struct Sending<'a> {
    pub range: Range<u32>,
    /// Largest block, in bytes; a stub has its own.
    block: u32,
    pub placed: Placed<'a>,
    pub packed: Option<Packed>,
    /// Whether the chip shall encrypt.
    pub encrypt: bool,
}

impl Sending<'_> {
    /// The sectors that it lies in.
    pub fn sectors(&self) -> Range<u32> {
        let stream = Stream {
            range: self.range.clone(),
            form: Form::Raw,
        };
        stream.sectors()
    }
}

/// What is erased for a run of streams, and what of it is not used yet.
#[derive(Debug, Default)]
pub(crate) struct Erasure {
    /// What the next BEGIN shall erase beyond its own need, for streams that follow.
    pub wish: Range<u32>,
    /// Known to be erased.
    erased: Range<u32>,
}

impl Erasure {
    /// What BEGIN for these sectors has to erase.
    fn needed(&self, sectors: &Range<u32>) -> Range<u32> {
        if self.erased.start < sectors.end && sectors.end <= self.erased.end {
            // Only what an earlier stream has written behind its end.
            sectors.start..self.erased.start.max(sectors.start)
        } else if self.wish.start == sectors.start && sectors.end <= self.wish.end {
            self.wish.clone()
        } else {
            sectors.clone()
        }
    }

    fn done(&mut self, erased: &Range<u32>) {
        if erased.end > self.erased.end {
            self.erased = erased.clone();
            self.wish = 0..0;
        }
    }

    /// Something was written before `end`, or may have been.
    fn used(&mut self, end: u32) {
        self.erased.start = self.erased.start.max(end);
    }
}

impl<L: Link> Session<L> {
    /// Brings the contents of a stream into flash.
    pub(crate) async fn write_stream(
        &mut self,
        mut payload: Payload<'_>,
        stream: &Stream,
        erasure: &mut Erasure,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let packed = payload.packed.take();
        let (placed, encrypt) = (payload.placed, payload.encrypt);
        let mut packed = packed.filter(|(_, planned)| self.takes_packed(stream, *planned));
        let mut at = stream.range.start;
        if self.stub_must_prove() {
            let first = at..stream.range.end.min(at.saturating_add(SECTOR));
            if self.prove_stub_writes(&payload, &first, observer).await? {
                // A compressed stream is one whole.
                if packed.is_none() || first.end == stream.range.end {
                    at = first.end;
                    meter.sent(u64::from(first.end - first.start), at, observer);
                }
            } else {
                packed = packed.filter(|(_, planned)| self.takes_packed(stream, *planned));
            }
        }
        let mut failures = 0;
        let mut refusals = 0;
        while at < stream.range.end {
            let end = match packed {
                Some(_) => stream.range.end,
                None => stream
                    .range
                    .end
                    .min(at.saturating_add(self.line.max_stream)),
            };
            let part = Stream {
                range: at..end,
                form: stream.form,
            };
            let overrun = match packed {
                Some(_) if !self.stub_runs() => part.overrun(self.chip.rom.inflate),
                _ => 0,
            };
            let sending = Sending {
                range: at..end,
                block: self.line.block(self.largest_block()),
                placed,
                packed: packed.take().map(|(packed, _)| packed),
                encrypt,
            };
            let by_stub = self.stub_runs();
            let result = self.send_stream(sending, erasure, meter, observer).await;
            erasure.used(part.sectors().end.saturating_add(overrun));
            let (reached, fault) = match result {
                Ok(()) => {
                    self.line.trust_more();
                    at = end;
                    failures = 0;
                    refusals = 0;
                    continue;
                }
                Err(Broken::Fatal(error)) => return Err(error),
                Err(Broken::Lost { reached, fault }) => (reached, fault),
            };
            refusals = if matches!(fault, Fault::Refused(_)) {
                refusals + 1
            } else {
                0
            };
            let refused = match fault {
                Fault::Refused(code) => Some(code),
                _ => None,
            };
            self.mend(fault, observer).await?;
            let good = if self.has_digest() && !encrypt {
                self.insist(observer, async |session, _| {
                    session.good_until(placed, at..reached).await
                })
                .await?
            } else if by_stub {
                // What it has answered it may not have written yet.
                at
            } else {
                sector_floor(reached).max(at)
            };
            if good > at {
                at = good;
                failures = 0;
                refusals = 0;
            } else {
                failures += 1;
            }
            meter.at(at, observer);
            if let Some(code) = refused.filter(|_| refusals >= REFUSALS) {
                let doing = format!("writing 0x{at:08x}");
                return Err(Error::Refused {
                    doing,
                    opcode: Opcode::FlashData,
                    code,
                });
            }
            if failures >= SECTOR_ATTEMPTS {
                let attempts = failures;
                return Err(Error::LineTooBad {
                    address: at,
                    what: "written",
                    attempts,
                });
            }
        }
        Ok(())
    }

    /// From now on these addresses are neither old nor new.
    pub(crate) fn note_unfinished(&mut self, touched: &Range<u32>) {
        self.unfinished = Some(match self.unfinished.take() {
            Some(old) => old.start.min(touched.start)..old.end.max(touched.end),
            None => touched.clone(),
        });
    }

    /// Whether a stream may go compressed, if it was planned for such an inflater. One that writes whole
    /// windows spoils what was not planned for it.
    fn takes_packed(&self, stream: &Stream, planned: InflateRule) -> bool {
        let inflates = self.stub_runs() || self.chip.rom.inflate == Some(planned);
        inflates && self.line.trusted && stream.form == Form::Deflate
    }

    /// After a stream broke: brings link, framing and rate back, and trusts the line less.
    pub(crate) async fn mend(
        &mut self,
        fault: Fault,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let text = match &fault {
            Fault::Link(LinkError::Lost(_)) => "the connection was lost".to_owned(),
            Fault::Link(_) => "the port failed".to_owned(),
            Fault::Silence => "no answer".to_owned(),
            Fault::Damaged => "a damaged answer".to_owned(),
            Fault::Refused(code) => format!("refused ({code})"),
        };
        match fault {
            Fault::Link(error) if error.is_lost() => return self.recover(observer).await,
            Fault::Link(error) => return Err(error.into()),
            Fault::Silence => self.line.wait_longer(),
            Fault::Damaged | Fault::Refused(_) => {}
        }
        // What the ROM was told may have arrived damaged.
        let retell = matches!(fault, Fault::Refused(_));
        let count = self.channel.faults();
        observer.event(Event::LineFault { fault: text, count });
        if self.line.trust_less() {
            observer.event(Event::Notice(Notice::Careful));
        }
        match self.channel.resync().await {
            Ok(true) => {}
            Ok(false) => return self.recover(observer).await,
            Err(error) if error.is_lost() => return self.recover(observer).await,
            Err(error) => return Err(error.into()),
        }
        if retell {
            self.retell_size().await?;
        }
        let present = self.channel.link().baud();
        if let Some(baud) = self.line.lower_rate(present, self.channel.faults()) {
            self.raise_baud_to(baud, observer).await?;
            let baud = self.channel.link().baud();
            observer.event(Event::Notice(Notice::BaudLowered { baud }));
        }
        Ok(())
    }

    async fn send_stream(
        &mut self,
        sending: Sending<'_>,
        erasure: &mut Erasure,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<(), Broken> {
        if self.stub_runs() {
            return self.send_by_stub(&sending, meter, observer).await;
        }
        self.begin(&sending, erasure)
            .await
            .map_err(|begun| match begun {
                Begun::Fault(fault) => Broken::Lost {
                    reached: sending.range.start,
                    fault,
                },
                Begun::Fatal(error) => Broken::Fatal(error),
            })?;
        match &sending.packed {
            Some(packed) => self.send_packed(&sending, packed, meter, observer).await,
            None => self.send_raw(&sending, meter, observer).await,
        }
    }

    /// BEGIN: erases what is not erased yet and prepares the ROM for blocks.
    async fn begin(&mut self, sending: &Sending<'_>, erasure: &mut Erasure) -> Result<(), Begun> {
        let Sending {
            range,
            block,
            packed,
            encrypt,
            ..
        } = sending;
        let sectors = sending.sectors();
        let erase = erasure.needed(&sectors);
        let length = erase.end - erase.start;
        let (asked, rest) = erase_request(self.chip.rom.erase, erase.start, length);
        let touched = sectors.start..sectors.end.max(erase.end);
        self.note_unfinished(&touched);
        if rest > 0 {
            let start = erase.end - rest;
            self.erase_by_register(start, rest)
                .await
                .map_err(|error| match error {
                    Error::Link(error) => Begun::Fault(Fault::Link(error)),
                    Error::NoAnswer { .. } => Begun::Fault(Fault::Silence),
                    error => Begun::Fatal(error),
                })?;
        }
        let bytes = match packed {
            Some(packed) => packed.len() as u32,
            None => range.end - range.start,
        };
        let begin = Begin {
            erase_size: asked,
            blocks: bytes.div_ceil(*block),
            block_size: *block,
            offset: range.start,
            encrypted: self.chip.rom.encrypts().then_some(*encrypt),
        };
        let command = match packed {
            Some(_) => Command::FlashDeflBegin(begin),
            None => Command::FlashBegin(begin),
        };
        let timeout = self.channel.timeouts.erase(length) * self.line.patience;
        self.channel
            .exchange(&command, 0, timeout)
            .await
            .map_err(Begun::Fault)?;
        erasure.done(&erase);
        Ok(())
    }

    async fn send_raw(
        &mut self,
        sending: &Sending<'_>,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<(), Broken> {
        let Sending {
            range,
            block,
            placed,
            ..
        } = sending;
        let timeout = self.channel.timeouts.command * self.line.patience.min(MAX_BLOCK_PATIENCE);
        let mut buffer = vec![0; *block as usize];
        let mut sequence = 0;
        let mut at = range.start;
        while at < range.end {
            let length = (*block).min(range.end - at);
            // The ROM takes multiples of 4; what is behind the contents stays erased. Encrypted, it
            // shall read as erased through the chip's cache, as far as the Python tool sees to that.
            let unit = if sending.encrypt {
                ENCRYPTED_UNIT.min(*block)
            } else {
                4
            };
            let buffer = &mut buffer[..length.next_multiple_of(unit) as usize];
            buffer.fill(0xFF);
            let offset = at - placed.start;
            placed
                .contents
                .read_at(offset, &mut buffer[..length as usize])
                .map_err(Error::from)?;
            let mut attempts = self.options.block_attempts.max(1);
            loop {
                let command = Command::FlashData {
                    sequence,
                    data: buffer,
                };
                sequence += 1;
                match self.channel.exchange(&command, 0, timeout).await {
                    Ok(_) => break,
                    // Not taken, but counted: it goes again under the next number.
                    Err(Fault::Refused(ErrorCode::CHECKSUM)) if attempts > 1 => {
                        attempts -= 1;
                        self.channel.count_fault();
                        let count = self.channel.faults();
                        let fault = ErrorCode::CHECKSUM.to_string();
                        observer.event(Event::LineFault { fault, count });
                    }
                    Err(fault) => return Err(Broken::Lost { reached: at, fault }),
                }
            }
            at += length;
            meter.sent(u64::from(length), at, observer);
        }
        Ok(())
    }

    async fn send_packed(
        &mut self,
        sending: &Sending<'_>,
        packed: &[u8],
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<(), Broken> {
        let Sending { range, block, .. } = sending;
        let mut inflated = Inflated::default();
        let mut unanswered = VecDeque::new();
        let mut at = range.start;
        let ahead = self.blocks_ahead(*block);
        let mut blocks = packed.chunks(*block as usize).zip(0..).peekable();
        loop {
            while unanswered.len() <= ahead
                && let Some((data, sequence)) = blocks.next()
            {
                let command = Command::FlashDeflData { sequence, data };
                let length = inflated.by(data).map_err(Broken::Fatal)?;
                let timeout = self.channel.timeouts.erase_write(length);
                if let Err(error) = self.channel.send(&command).await {
                    return Err(Broken::Lost {
                        reached: at,
                        fault: Fault::Link(error),
                    });
                }
                unanswered.push_back((length, data.len(), timeout));
            }
            let Some((length, sent, timeout)) = unanswered.pop_front() else {
                return Ok(());
            };
            match self
                .channel
                .await_answer(Opcode::FlashDeflData, timeout)
                .await
            {
                Ok(_) => {}
                Err(fault) => return Err(Broken::Lost { reached: at, fault }),
            }
            at = range.end.min(at + length);
            meter.sent(sent as u64, at, observer);
        }
    }

    /// Largest block, in bytes, that the loader takes over this port. The ROM's device on USB-OTG
    /// takes less.
    fn largest_block(&self) -> u32 {
        let largest = self.chip.rom.flash_block;
        if self.may_be_otg() {
            largest.min(self.chip.usb.otg_block)
        } else {
            largest
        }
    }

    /// Blocks that may be on their way while one is being answered: none, unless the chip is known
    /// to receive while it works and a whole block fits into what it receives to.
    fn blocks_ahead(&self, block: u32) -> usize {
        let receive = self.chip.rom.receive;
        let framed = block + block / 8 + 64;
        usize::from(receive.ahead && receive.size >= framed && self.channel.faults() == 0)
    }

    /// Erases sectors through the SPI controller, where BEGIN would erase more than asked.
    pub(crate) async fn erase_by_register(&mut self, start: u32, length: u32) -> Result<(), Error> {
        let controller = self.spi_begin().await?;
        let limit = self.channel.timeouts.command;
        for sector in (start..start + length).step_by(SECTOR as usize) {
            self.spi_erase(Some(sector), limit).await?;
        }
        self.spi_end(controller).await
    }
}

enum Begun {
    Fault(Fault),
    Fatal(Error),
}

/// Follows a zlib stream to know how much the chip writes for each block.
pub(crate) struct Inflated {
    inflater: Decompress,
    scratch: Vec<u8>,
}

impl Default for Inflated {
    fn default() -> Self {
        Self {
            inflater: Decompress::new(true),
            scratch: vec![0; 32 * 1024],
        }
    }
}

impl Inflated {
    /// Bytes of contents that `packed` adds.
    pub fn by(&mut self, mut packed: &[u8]) -> Result<u32, Error> {
        let before = self.inflater.total_out();
        loop {
            let taken = self.inflater.total_in();
            let made = self.inflater.total_out();
            self.inflater
                .decompress(packed, &mut self.scratch, FlushDecompress::None)
                .map_err(|error| Error::NotPossible(format!("compression went wrong: {error}")))?;
            packed = &packed[(self.inflater.total_in() - taken) as usize..];
            let full = self.inflater.total_out() - made == self.scratch.len() as u64;
            if !full {
                break;
            }
        }
        Ok((self.inflater.total_out() - before) as u32)
    }
}
