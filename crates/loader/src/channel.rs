//! Commands and answers over a link, before anything is known about the chip.

use std::ops::Range;
use std::time::Duration;

use guru_link::{Instant, Link, LinkError};
use guru_wire::slip::{self, Decoder};
use guru_wire::{Command, ErrorCode, Opcode, Response, SecurityInfo, Timeouts};

use crate::{Error, NotInSecureDownload, launch};

/// Largest answer of a ROM: 64 bytes of flash, header and status, with room to spare.
const MAX_ANSWER: usize = 1024;

/// A stub's first packet.
const GREETING: [u8; 4] = *b"OHAI";

/// Boot log that is kept, in bytes.
const MAX_TEXT: usize = 4096;

/// A SYNC is answered this many times by a ROM.
const SYNC_ANSWERS: usize = 8;

/// How often a command that can be repeated is sent.
const QUERY_ATTEMPTS: u32 = 6;

/// How often SYNC is tried after a fault. The chip may still be at work on what it took last.
const RESYNC_ATTEMPTS: u32 = 50;

/// What comes later than this was not under way: the chip took something else for a SYNC.
const MOST_LAG: Duration = Duration::from_secs(1);

/// Bytes of a read from the link.
const READ_CHUNK: usize = 4096;

/// An answer to a command that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Value word.
    pub value: u32,
    /// Data, without status bytes.
    pub data: Vec<u8>,
}

/// Why one exchange failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The link itself failed.
    Link(LinkError),
    /// No answer in time.
    Silence,
    /// Something came that is no whole answer to this command.
    Damaged,
    /// The chip answered that it failed.
    Refused(ErrorCode),
}

impl From<LinkError> for Fault {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

/// What comes of carrying out a command twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Harmless,
    Harmful,
}

/// What an answer to SYNC says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Synced {
    /// A ROM loader.
    Rom,
    /// A flasher stub, left by an earlier program.
    Stub,
}

/// What came of a command that starts a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Started {
    /// The loader answered, and ended.
    Answered,
    /// Something came, but not the whole answer: the program has taken the UART already.
    Torn,
    /// Nothing came.
    Silent,
    /// The loader refused, and goes on.
    Refused(ErrorCode),
    /// The loader answered something else, and goes on.
    Not,
}

/// Frames and answers over a link.
#[derive(Debug)]
pub(crate) struct Channel<L> {
    link: L,
    decoder: Decoder,
    /// What reads go to; `unread` of it was not looked at yet.
    input: Box<[u8; READ_CHUNK]>,
    unread: Range<usize>,
    text: Vec<u8>,
    packets_seen: u32,
    faults: u32,
    /// When nothing more seemed to be under way.
    settled: Instant,
    /// How long after that an answer to a SYNC from before came, at the latest.
    lag: Duration,
    /// Whether a command was given up whose answer may come still.
    given_up: bool,
    /// How long answers may take.
    pub timeouts: Timeouts,
    /// What SYNC must be answered as: by another loader is as good as not at all.
    expected: Synced,
    /// The commands that the loader knows in Secure Download Mode, when it is in that.
    pub allowed: Option<&'static [u8]>,
}

impl<L: Link> Channel<L> {
    pub fn new(link: L, timeouts: Timeouts) -> Self {
        Self {
            link,
            decoder: Decoder::new(MAX_ANSWER),
            input: Box::new([0; READ_CHUNK]),
            unread: 0..0,
            text: Vec::new(),
            packets_seen: 0,
            faults: 0,
            settled: Instant::default(),
            lag: Duration::ZERO,
            given_up: false,
            timeouts,
            expected: Synced::Rom,
            allowed: None,
        }
    }

    pub fn link(&self) -> &L {
        &self.link
    }

    pub fn link_mut(&mut self) -> &mut L {
        &mut self.link
    }

    pub fn into_link(self) -> L {
        self.link
    }

    pub fn now(&self) -> Instant {
        self.link.now()
    }

    /// Damaged, lost and refused packets so far. Not zero: the line is not to be trusted.
    pub fn faults(&self) -> u32 {
        self.faults
    }

    /// Counts a fault that a caller found.
    pub fn count_fault(&mut self) {
        self.faults = self.faults.saturating_add(1);
    }

    /// What came outside of packets since the last call: a boot log, or noise.
    pub fn take_text(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }

    /// How many packets have come so far, answers or not.
    pub fn packets_seen(&self) -> u32 {
        self.packets_seen
    }

    /// Whether a packet has begun and not ended.
    pub fn in_packet(&self) -> bool {
        self.decoder.in_frame()
    }

    /// Forgets everything that came and was not looked at.
    pub async fn discard_input(&mut self) -> Result<(), LinkError> {
        self.forget();
        self.link.discard_input().await
    }

    /// Opens a lost port again. What came before is forgotten.
    pub async fn reopen(&mut self) -> Result<(), LinkError> {
        self.forget();
        self.link.reopen().await
    }

    /// Forgets what was read.
    fn forget(&mut self) {
        self.unread = 0..0;
        self.decoder.reset();
    }

    /// Sends a command and takes its answer. Answers to earlier SYNCs are skipped.
    ///
    /// `data_len` is the length of the answer's data in bytes.
    pub async fn exchange(
        &mut self,
        command: &Command<'_>,
        data_len: usize,
        timeout: Duration,
    ) -> Result<Answer, Fault> {
        self.send(command).await?;
        self.counted_answer(command.opcode(), data_len, timeout)
            .await
    }

    /// From now on a stub answers, with packets of so many bytes at the most; or the ROM.
    pub fn expect_stub(&mut self, largest: Option<usize>) {
        self.expected = match largest {
            Some(_) => Synced::Stub,
            None => Synced::Rom,
        };
        self.decoder = Decoder::new(largest.unwrap_or(MAX_ANSWER));
    }

    /// Waits for a stub's greeting. `false`: it did not come.
    pub async fn greeting(&mut self, limit: Duration) -> Result<bool, LinkError> {
        let latency = self.link.info().capabilities.latency;
        let deadline = self.now() + limit + latency * 2;
        while let Some(packet) = self.next_packet(deadline).await? {
            if packet.as_deref() == Ok(&GREETING[..]) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A packet that is no answer.
    pub async fn frame(&mut self, timeout: Duration) -> Result<Vec<u8>, Fault> {
        let deadline = self.now() + timeout;
        match self.next_packet(deadline).await? {
            Some(Ok(packet)) => Ok(packet),
            Some(Err(_)) => Err(Fault::Damaged),
            None => Err(Fault::Silence),
        }
    }

    /// Sends a packet that is no command.
    pub async fn send_frame(&mut self, packet: &[u8]) -> Result<(), LinkError> {
        self.link.write(&slip::encode(packet)).await
    }

    /// The answer to a block that was sent before, and the number of the block that is due, if it came
    /// through.
    pub async fn block_answer(
        &mut self,
        opcode: Opcode,
        timeout: Duration,
    ) -> (Option<u32>, Result<(), Fault>) {
        let packet = match self.frame(timeout.min(self.timeouts.max)).await {
            Ok(packet) => packet,
            Err(fault) => {
                self.count_fault();
                return (None, Err(fault));
            }
        };
        let response = Response::decode(&packet).ok();
        let response = response.filter(|response| response.opcode == opcode as u8);
        let status = response
            .as_ref()
            .and_then(|response| response.status(0).ok());
        match (response, status) {
            (Some(response), Some(status)) => {
                (Some(response.value), status.map_err(Fault::Refused))
            }
            _ => {
                self.count_fault();
                (None, Err(Fault::Damaged))
            }
        }
    }

    /// The answer, without data, to a command that was sent before.
    pub async fn await_answer(
        &mut self,
        opcode: Opcode,
        timeout: Duration,
    ) -> Result<Answer, Fault> {
        self.counted_answer(opcode, 0, timeout).await
    }

    async fn counted_answer(
        &mut self,
        opcode: Opcode,
        data_len: usize,
        timeout: Duration,
    ) -> Result<Answer, Fault> {
        let result = self.answer(opcode, data_len, timeout).await;
        if matches!(result, Err(Fault::Silence | Fault::Damaged)) {
            self.count_fault();
        }
        result
    }

    pub async fn send(&mut self, command: &Command<'_>) -> Result<(), LinkError> {
        self.link.write(&slip::encode(&command.encode())).await
    }

    async fn answer(
        &mut self,
        opcode: Opcode,
        data_len: usize,
        timeout: Duration,
    ) -> Result<Answer, Fault> {
        let deadline = self.now() + timeout.min(self.timeouts.max);
        loop {
            let packet = match self.next_packet(deadline).await? {
                Some(Ok(packet)) => packet,
                Some(Err(slip::Damage::Escape(_) | slip::Damage::Oversized)) => {
                    return Err(Fault::Damaged);
                }
                None => return Err(Fault::Silence),
            };
            let Ok(mut response) = Response::decode(&packet) else {
                return Err(Fault::Damaged);
            };
            let late = response.opcode == Opcode::Sync as u8 && opcode != Opcode::Sync;
            if late && response.status(0) == Ok(Ok(())) {
                let lag = self.now() - self.settled;
                if lag <= MOST_LAG {
                    self.lag = self.lag.max(lag);
                }
                // What follows may be the answer to the command that was given up, which says nothing
                // of what it answers.
                if self.given_up {
                    return Err(Fault::Damaged);
                }
                continue;
            }
            let data_len = answered_len(&response, data_len);
            let status = response.status(data_len).map_err(|_| Fault::Damaged)?;
            // A ROM that does not know a command answers under the number of the one before.
            if status == Err(ErrorCode::INVALID_FORMAT) {
                return Err(Fault::Refused(ErrorCode::INVALID_FORMAT));
            }
            if response.opcode != opcode as u8 {
                return Err(Fault::Damaged);
            }
            status.map_err(Fault::Refused)?;
            response.body.truncate(data_len);
            return Ok(Answer {
                value: response.value,
                data: response.body,
            });
        }
    }

    /// The next packet or damage before `deadline`; text outside of packets is kept aside.
    async fn next_packet(
        &mut self,
        deadline: Instant,
    ) -> Result<Option<Result<Vec<u8>, slip::Damage>>, LinkError> {
        loop {
            while !self.unread.is_empty() {
                let (count, event) = self.decoder.push(&self.input[self.unread.clone()]);
                self.unread.start += count;
                match event {
                    Some(slip::Event::Packet(packet)) => {
                        self.packets_seen = self.packets_seen.saturating_add(1);
                        return Ok(Some(Ok(packet)));
                    }
                    Some(slip::Event::Damaged(damage)) => return Ok(Some(Err(damage))),
                    Some(slip::Event::Text(text)) => {
                        let room = MAX_TEXT.saturating_sub(self.text.len());
                        self.text.extend(text.into_iter().take(room));
                    }
                    None => {}
                }
            }
            let count = self.link.read(&mut self.input[..], deadline).await?;
            if count == 0 {
                return Ok(None);
            }
            self.unread = 0..count;
        }
    }

    /// Reads what comes until `quiet` passes without a byte, `limit` at the most. Boot logs end
    /// up in [`take_text`](Self::take_text).
    pub async fn drain(&mut self, quiet: Duration, limit: Duration) -> Result<(), LinkError> {
        let end = self.now() + limit;
        while self.now() < end {
            let deadline = (self.now() + quiet).min(end);
            if self.next_packet(deadline).await?.is_none() {
                break;
            }
        }
        self.settled = self.now();
        Ok(())
    }

    /// One SYNC. Its further answers are taken too, so that none is mistaken for another's.
    pub async fn sync(&mut self) -> Result<Synced, Fault> {
        self.send(&Command::Sync).await?;
        let mut synced = None;
        for _ in 0..SYNC_ANSWERS {
            match self.answer(Opcode::Sync, 0, self.timeouts.sync).await {
                Ok(answer) => {
                    let kind = if answer.value == 0 {
                        Synced::Stub
                    } else {
                        Synced::Rom
                    };
                    synced = match synced {
                        Some(Synced::Rom) => Some(Synced::Rom),
                        _ => Some(kind),
                    };
                }
                Err(Fault::Link(error)) => return Err(Fault::Link(error)),
                Err(fault) => {
                    if synced.is_none() {
                        return Err(fault);
                    }
                    break;
                }
            }
        }
        synced.ok_or(Fault::Silence)
    }

    /// Brings framing and answers back into step after a fault. `false`: the chip does not answer
    /// any more.
    pub async fn resync(&mut self) -> Result<bool, LinkError> {
        self.given_up = true;
        for _ in 0..RESYNC_ATTEMPTS {
            self.discard_input().await?;
            let synced = self.sync().await;
            // A SYNC that was given up too early may still be answered.
            let quiet = self.quiet();
            match synced {
                // The chip was reset.
                Ok(kind) if kind != self.expected => return Ok(false),
                Ok(_) => {
                    self.drain(quiet, quiet * 10).await?;
                    return Ok(true);
                }
                Err(Fault::Link(error)) => return Err(error),
                Err(Fault::Silence) => {}
                Err(Fault::Damaged | Fault::Refused(_)) => self.drain(quiet, quiet * 10).await?,
            }
        }
        Ok(false)
    }

    /// Reads several registers, all asked for before the first answer is looked at. An answer does
    /// not say which address it is for: after any fault nothing of what came is to be used.
    pub async fn read_words(
        &mut self,
        addresses: impl Iterator<Item = u32> + Clone,
        timeout: Duration,
    ) -> Result<Vec<u32>, Fault> {
        let mut requests = Vec::new();
        for address in addresses.clone() {
            requests.extend(slip::encode(&Command::ReadReg { address }.encode()));
        }
        self.link.write(&requests).await?;
        let mut words = Vec::new();
        for _ in addresses {
            words.push(
                self.counted_answer(Opcode::ReadReg, 0, timeout)
                    .await?
                    .value,
            );
        }
        Ok(words)
    }

    /// Sends the command by which the loader ends and a program starts. What comes behind its
    /// answer is the program's and is kept for [`read_raw`](Self::read_raw).
    pub async fn start(
        &mut self,
        command: &Command<'_>,
        status_len: u8,
        timeout: Duration,
    ) -> Result<Started, LinkError> {
        self.send(command).await?;
        self.started(command.opcode(), status_len, timeout).await
    }

    /// Asks whether the loader is still there after such a command. A program gets a SYNC as input
    /// then.
    pub async fn probe(
        &mut self,
        opcode: Opcode,
        status_len: u8,
        timeout: Duration,
    ) -> Result<Started, LinkError> {
        self.send(&Command::Sync).await?;
        self.started(opcode, status_len, timeout).await
    }

    async fn started(
        &mut self,
        opcode: Opcode,
        status_len: u8,
        timeout: Duration,
    ) -> Result<Started, LinkError> {
        self.forget();
        let latency = self.link.info().capabilities.latency;
        let deadline = self.now() + timeout + latency * 2;
        let mut came = Vec::new();
        loop {
            let mut chunk = [0; 256];
            let count = self.link.read(&mut chunk, deadline).await?;
            came.extend_from_slice(&chunk[..count]);
            let ours = |answer: &launch::Answered| answer.opcode == opcode as u8;
            let answer = launch::answers(&came).find(ours);
            if let Some(answer) = answer {
                self.keep(&came[answer.end..]);
                return Ok(match answer.status {
                    Ok(()) => Started::Answered,
                    Err(code) => Started::Refused(code),
                });
            }
            if count > 0 && came.len() + chunk.len() <= READ_CHUNK {
                continue;
            }
            // A request that lost a byte may be another command.
            if launch::answers(&came).next().is_some() {
                return Ok(Started::Not);
            }
            self.keep(launch::behind_torn(&came, opcode, status_len));
            return Ok(if came.is_empty() {
                Started::Silent
            } else {
                Started::Torn
            });
        }
    }

    /// Puts back what is to be read next.
    fn keep(&mut self, bytes: &[u8]) {
        let count = bytes.len().min(READ_CHUNK);
        self.input[..count].copy_from_slice(&bytes[..count]);
        self.unread = 0..count;
    }

    /// What comes, as it comes: first what was kept.
    pub async fn read_raw(&mut self, deadline: Instant) -> Result<Vec<u8>, LinkError> {
        if self.unread.is_empty() {
            let count = self.link.read(&mut self.input[..], deadline).await?;
            self.unread = 0..count;
        }
        let bytes = self.input[self.unread.clone()].to_vec();
        self.unread = 0..0;
        Ok(bytes)
    }

    /// Silence after which nothing more is under way, as far as the line is known.
    pub fn quiet(&self) -> Duration {
        let usual = Duration::from_millis(20) + self.link.info().capabilities.latency * 4;
        usual.max(self.lag * 2)
    }

    /// A command that does no harm when it is carried out twice: it is sent until a whole answer
    /// comes.
    pub async fn query(
        &mut self,
        command: &Command<'_>,
        data_len: usize,
        timeout: Duration,
        doing: &str,
    ) -> Result<Answer, Error> {
        self.ask(command, data_len, timeout, doing, Repeat::Harmless)
            .await
    }

    /// A command that is not to be carried out twice: it is repeated only if the chip says that it
    /// was not done.
    pub async fn once(
        &mut self,
        command: &Command<'_>,
        timeout: Duration,
        doing: &str,
    ) -> Result<Answer, Error> {
        self.ask(command, 0, timeout, doing, Repeat::Harmful).await
    }

    async fn ask(
        &mut self,
        command: &Command<'_>,
        data_len: usize,
        timeout: Duration,
        doing: &str,
        repeat: Repeat,
    ) -> Result<Answer, Error> {
        let opcode = command.opcode();
        if self
            .allowed
            .is_some_and(|known| !known.contains(&(opcode as u8)))
        {
            return Err(NotInSecureDownload::doing(doing));
        }
        let (mut fault, mut refused) = ("complete", None);
        for _ in 1..=QUERY_ATTEMPTS {
            let unknown = match self.exchange(command, data_len, timeout).await {
                Ok(answer) => return Ok(answer),
                Err(Fault::Link(error)) => return Err(error.into()),
                // Once may be a damaged request; what is refused twice is refused.
                Err(Fault::Refused(code)) if refused == Some(code) || !may_be_damage(code) => {
                    return Err(Error::Refused {
                        doing: doing.to_owned(),
                        opcode,
                        code,
                    });
                }
                Err(Fault::Refused(code)) => {
                    refused = Some(code);
                    self.count_fault();
                    is_no_roms(code)
                }
                Err(Fault::Silence) => {
                    fault = "complete";
                    true
                }
                Err(Fault::Damaged) => {
                    fault = "undamaged";
                    true
                }
            };
            if !self.resync().await? || unknown && repeat == Repeat::Harmful {
                break;
            }
        }
        Err(Error::NoAnswer {
            doing: doing.to_owned(),
            opcode,
            fault,
        })
    }
}

/// Length of an answer's data. GET_SECURITY_INFO alone has two forms.
fn answered_len(response: &Response, asked: usize) -> usize {
    let short = SecurityInfo::SHORT_LEN;
    if response.opcode == Opcode::GetSecurityInfo as u8
        && asked == SecurityInfo::LONG_LEN
        && (short + 2..=short + 4).contains(&response.body.len())
    {
        return short;
    }
    asked
}

/// Whether a refusal may come from a request or an answer that was damaged on its way.
fn may_be_damage(code: ErrorCode) -> bool {
    is_no_roms(code)
        || [
            ErrorCode::INVALID_FORMAT,
            ErrorCode::CHECKSUM,
            ErrorCode::FLASH_READ,
            ErrorCode::READ_LENGTH,
        ]
        .contains(&code)
}

/// Whether no ROM refuses so: the answer is damaged, whatever became of the request.
fn is_no_roms(code: ErrorCode) -> bool {
    code.failed != 1 || code.code == 0
}
