//! A stream through the stub: several blocks on their way, each told by its number. What is lost goes
//! again from the block that is due, and the stream goes on; only what the stub refuses ends it.

use std::collections::VecDeque;
use std::time::Duration;

use guru_link::Link;
use guru_stub::Kind;
use guru_wire::{Begin, Command, ErrorCode, Opcode, capability};

use super::Running;
use crate::channel::Fault;
use crate::progress::Meter;
use crate::stream::{Broken, Inflated, Sending};
use crate::{Error, Event, Observer, Session};

/// Block of the base protocol, in bytes: of two slots one is being written.
const LARGE: u32 = 0x4000;

/// Block where a stub grants eight slots, in bytes.
const SMALL: u32 = 0x1000;

/// What a stub says of a block that did not arrive as it was sent.
const DAMAGED: [ErrorCode; 3] = [
    ErrorCode::STUB_LENGTH,
    ErrorCode::STUB_CHECKSUM,
    ErrorCode::STUB_BLOCK,
];

/// How often one block is sent until the stream is given up.
const ATTEMPTS: u32 = 8;

/// How blocks go.
#[derive(Debug, Clone, Copy)]
struct Flow {
    /// Largest block, in bytes.
    block: u32,
    /// Blocks that may be unanswered.
    window: usize,
    /// Whether the stub tells the block that is due, so that a stream goes on behind a fault.
    numbered: bool,
}

/// One block.
struct Block<'a> {
    data: &'a [u8],
    /// Bytes of contents that it gives.
    length: u32,
}

impl<L: Link> Session<L> {
    /// BEGIN, blocks, END.
    pub(crate) async fn send_by_stub(
        &mut self,
        sending: &Sending<'_>,
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<(), Broken> {
        let start = sending.range.start;
        let Some(running) = self.stub.running else {
            let error = Error::NotPossible("no stub runs".to_owned());
            return Err(error.into());
        };
        let flow = self.flow(running);
        let raw = match sending.packed {
            Some(_) => Vec::new(),
            None => {
                let mut bytes = vec![0; sending.range.len()];
                let from = start - sending.placed.start;
                sending
                    .placed
                    .contents
                    .read_at(from, &mut bytes)
                    .map_err(Error::from)?;
                bytes
            }
        };
        let packed = sending.packed.as_deref();
        let bytes = packed.map_or(&raw[..], |packed| &packed[..]);
        let mut inflated = Inflated::default();
        let mut blocks = Vec::new();
        for data in bytes.chunks(flow.block as usize) {
            let length = match packed {
                Some(_) => inflated.by(data)?,
                None => data.len() as u32,
            };
            blocks.push(Block { data, length });
        }
        let begin = Begin {
            erase_size: sending.range.end - start,
            blocks: blocks.len() as u32,
            block_size: flow.block,
            offset: start,
            encrypted: Some(sending.encrypt),
        };
        let begin = match packed {
            Some(_) => Command::FlashDeflBegin(begin),
            None => Command::FlashBegin(begin),
        };
        self.note_unfinished(&sending.sectors());
        let lost = |reached, fault| Broken::Lost { reached, fault };
        let timeout = self.channel.timeouts.command * self.line.patience;
        self.channel
            .exchange(&begin, 0, timeout)
            .await
            .map_err(|fault| lost(start, fault))?;
        let reached = self
            .send_blocks(sending, flow, &blocks, meter, observer)
            .await?;
        let end = match packed {
            Some(_) => Command::FlashDeflEnd { stay: true },
            None => Command::FlashEnd { stay: true },
        };
        // What was taken last may still have to be erased and written.
        let rest = blocks.iter().rev().take(2).map(|block| block.length).sum();
        let timeout = self.patience_for(rest);
        self.channel
            .exchange(&end, 0, timeout)
            .await
            .map_err(|fault| lost(reached, fault))?;
        Ok(())
    }

    /// Sends all blocks, and gives the address behind them.
    async fn send_blocks(
        &mut self,
        sending: &Sending<'_>,
        flow: Flow,
        blocks: &[Block<'_>],
        meter: &mut Meter,
        observer: &mut dyn Observer,
    ) -> Result<u32, Broken> {
        let range = &sending.range;
        let opcode = match sending.packed {
            Some(_) => Opcode::FlashDeflData,
            None => Opcode::FlashData,
        };
        let mut at = range.start;
        let (mut due, mut next, mut attempts) = (0, 0, 0);
        let mut unanswered = VecDeque::new();
        while due < blocks.len() {
            while next < blocks.len() && unanswered.len() < flow.window {
                let (data, sequence) = (blocks[next].data, next as u32);
                let command = match sending.packed {
                    Some(_) => Command::FlashDeflData { sequence, data },
                    None => Command::FlashData { sequence, data },
                };
                if let Err(error) = self.channel.send(&command).await {
                    let fault = Fault::Link(error);
                    return Err(Broken::Lost { reached: at, fault });
                }
                unanswered.push_back(next);
                next += 1;
            }
            // An answer that came late may have been taken for a later block's.
            let asked: usize = unanswered.pop_front().unwrap_or(due);
            // The block before is erased for and written until this one is answered.
            let work = asked.checked_sub(1).map_or(0, |last| blocks[last].length);
            let timeout = self.patience_for(work + blocks[asked].length);
            let (told, answer) = self.channel.block_answer(opcode, timeout).await;
            let now_due = match told {
                // A number beyond what was sent is damaged.
                Some(told) if flow.numbered && (due..=next).contains(&(told as usize)) => {
                    told as usize
                }
                _ if flow.numbered || answer.is_err() => due,
                _ => asked + 1,
            };
            for block in &blocks[due..now_due] {
                at = range.end.min(at.saturating_add(block.length));
                meter.sent(block.data.len() as u64, at, observer);
            }
            attempts = if now_due > due { 0 } else { attempts };
            due = now_due;
            let fault = match answer {
                Ok(()) => continue,
                Err(fault) => fault,
            };
            attempts += 1;
            let again = match fault {
                Fault::Silence | Fault::Damaged => true,
                Fault::Refused(code) => {
                    self.channel.count_fault();
                    DAMAGED.contains(&code)
                }
                Fault::Link(_) => false,
            };
            if !again || !flow.numbered || attempts >= ATTEMPTS {
                return Err(Broken::Lost { reached: at, fault });
            }
            let text = match fault {
                Fault::Refused(code) => code.to_string(),
                Fault::Silence => "no answer".to_owned(),
                _ => "a damaged answer".to_owned(),
            };
            let count = self.channel.faults();
            observer.event(Event::LineFault { fault: text, count });
            // What is on its way is answered, or lost too; a SYNC would end the stream.
            let quiet = self.channel.quiet();
            let settled = self.channel.drain(quiet, timeout).await;
            if let Err(error) = settled {
                let fault = Fault::Link(error);
                return Err(Broken::Lost { reached: at, fault });
            }
            unanswered.clear();
            next = due;
        }
        Ok(at)
    }

    fn flow(&self, running: Running) -> Flow {
        if !running.grants(capability::SMALL_SLOTS) {
            return Flow {
                block: LARGE,
                window: 1,
                numbered: running.kind == Kind::Guru,
            };
        }
        Flow {
            block: SMALL,
            // Of eight slots one holds the block that is written, and one stays free.
            window: if self.channel.faults() == 0 { 6 } else { 3 },
            numbered: true,
        }
    }

    /// How long the stub may take to erase and write so many bytes.
    fn patience_for(&self, length: u32) -> Duration {
        self.channel.timeouts.erase_write(length) * self.line.patience
    }
}
