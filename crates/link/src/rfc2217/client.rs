use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use super::com_port::{Control, Notice, PARITY_NONE, Purge, Request, STOP_SIZE_ONE};
use super::telnet::{Parser, TelnetEvent, TelnetOption, Verb, encode};
use crate::pace::Pace;
use crate::socket::Socket;
use crate::{Capabilities, Instant, Lines, Link, LinkError, OpenOptions, PortInfo, Rfc2217Address};

/// A serial port of an RFC 2217 server.
///
/// Settings are negotiated when the connection opens and when they change, never with a read's
/// time-out. Data go out in one write, which is one segment as long as the network takes it.
#[derive(Debug)]
pub struct Rfc2217Link {
    socket: Socket,
    address: Rfc2217Address,
    info: PortInfo,
    baud: u32,
    session: Session,
}

/// What the connection has come to; a new connection starts afresh.
#[derive(Debug, Default)]
struct Session {
    parser: Parser,
    /// Data that came while an answer was awaited.
    arrived: VecDeque<u8>,
    /// Answers that came and nobody has looked at yet.
    answers: Vec<Request>,
    agreed: Option<bool>,
    echo_agreed: bool,
    suspended: bool,
    /// The server once did not confirm a change of a line, as `esp_rfc2217_server` never does:
    /// nothing is awaited any more.
    silent_lines: bool,
    silent_purge: bool,
    /// What arrives before the answer to a purge is old.
    purging: bool,
}

/// How long a server is given to confirm what would also be well without, a line or a purge: so
/// many turn-rounds, and no less and no more than these.
const OPTIONAL_TURN_ROUNDS: u32 = 10;
const OPTIONAL_ANSWER_MIN: Duration = Duration::from_millis(100);
const OPTIONAL_ANSWER_MAX: Duration = Duration::from_secs(1);

/// What differs less than this from what was asked for still works, in percent.
const BAUD_TOLERANCE: u64 = 3;

impl Rfc2217Link {
    /// Connects and negotiates. `name` is the address as the user gave it.
    ///
    /// # Errors
    /// [`LinkError::Connect`] if the host cannot be reached, [`LinkError::Protocol`] if it does
    /// not speak RFC 2217 or not in time, [`LinkError::Baud`] if it refuses the baud rate.
    pub fn open(
        name: &str,
        address: &Rfc2217Address,
        options: &OpenOptions,
    ) -> Result<Self, LinkError> {
        let pace = Pace::start(options);
        let mut link = Self {
            socket: Socket::connect(&address.host, name, pace)?,
            address: address.clone(),
            info: PortInfo {
                name: name.to_owned(),
                usb: None,
                capabilities: Capabilities {
                    lines: true,
                    lines_together: false,
                    baud: true,
                    network: true,
                    latency: Duration::from_millis(1),
                    safe_baud: None,
                },
            },
            baud: options.baud,
            session: Session::default(),
        };
        link.negotiate()?;
        Ok(link)
    }

    fn negotiate(&mut self) -> Result<(), LinkError> {
        let mut hello = Vec::new();
        for option in [
            TelnetOption::COM_PORT,
            TelnetOption::BINARY,
            TelnetOption::SUPPRESS_GO_AHEAD,
        ] {
            encode::negotiation(Verb::Will, option, &mut hello);
            encode::negotiation(Verb::Do, option, &mut hello);
        }
        self.socket.write(&hello)?;
        let deadline = self.now() + self.address.timeout;
        while self.session.agreed.is_none() && self.receive(deadline)? {}
        if self.session.agreed != Some(true) {
            return Err(LinkError::Protocol(format!(
                "{} does not speak RFC 2217; for a plain TCP port write socket:// in place of rfc2217://",
                self.address.host
            )));
        }
        self.configure()
    }

    /// How long an answer is awaited that not every server gives.
    fn optional_answer(&self) -> Duration {
        (self.info.capabilities.latency * OPTIONAL_TURN_ROUNDS)
            .clamp(OPTIONAL_ANSWER_MIN, OPTIONAL_ANSWER_MAX)
            .min(self.address.timeout)
    }

    fn configure(&mut self) -> Result<(), LinkError> {
        let fixed = [
            Request::DataSize(8),
            Request::Parity(PARITY_NONE),
            Request::StopSize(STOP_SIZE_ONE),
        ];
        let mut bytes = Vec::new();
        // Answered without touching the port, which may take its time for a setting.
        Request::Control(Control::AskFlow).encode(&mut bytes);
        Request::Baud(self.baud).encode(&mut bytes);
        for request in &fixed {
            request.encode(&mut bytes);
        }
        // Not awaited: not every server confirms it.
        Request::Control(Control::NoFlow).encode(&mut bytes);
        self.session.answers.clear();
        self.socket.write(&bytes)?;
        let started = self.now();
        let deadline = started + self.address.timeout;
        while self.session.answers.is_empty() && self.receive(deadline)? {}
        let turn_round = self.now() - started;
        self.info.capabilities.latency = turn_round.max(Capabilities::STREAM.latency);
        self.await_baud()?;
        for request in fixed {
            let answer = self.await_answer(&request, self.address.timeout)?;
            if answer.is_some_and(|answer| answer != request) {
                return Err(LinkError::Protocol(format!(
                    "{} cannot set the port to 8 data bits, no parity, 1 stop bit",
                    self.address.host
                )));
            }
        }
        Ok(())
    }

    fn await_baud(&mut self) -> Result<(), LinkError> {
        match self.await_answer(&Request::Baud(self.baud), self.address.timeout)? {
            Some(Request::Baud(actual))
                if u64::from(actual.abs_diff(self.baud)) * 100
                    <= u64::from(self.baud) * BAUD_TOLERANCE =>
            {
                Ok(())
            }
            Some(_) => Err(LinkError::Baud(self.baud)),
            None => Err(LinkError::Protocol(format!(
                "{} did not confirm the port's settings within {} s",
                self.address.host,
                self.address.timeout.as_secs_f64()
            ))),
        }
    }

    /// Waits for the answer to a request of this kind. `None`: there was none in time.
    fn await_answer(
        &mut self,
        request: &Request,
        timeout: Duration,
    ) -> Result<Option<Request>, LinkError> {
        let deadline = self.now() + timeout;
        loop {
            let found = self
                .session
                .answers
                .iter()
                .position(|answer| is_answer(answer, request));
            if let Some(at) = found {
                return Ok(Some(self.session.answers.remove(at)));
            }
            if !self.receive(deadline)? {
                return Ok(None);
            }
        }
    }

    /// Waits for bytes and takes them apart. `false`: `deadline` passed.
    fn receive(&mut self, deadline: Instant) -> Result<bool, LinkError> {
        let mut buffer = [0; 4096];
        let count = self.socket.read(&mut buffer, deadline)?;
        let reply = self.session.take(&buffer[..count]);
        if !reply.is_empty() {
            self.socket.write(&reply)?;
        }
        Ok(count > 0)
    }
}

/// Whether `answer` is about what `request` set. Lines must match, because several may be under
/// way; of other settings the value may differ.
fn is_answer(answer: &Request, request: &Request) -> bool {
    match (answer, request) {
        (Request::Control(a), Request::Control(b)) => a == b,
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}

impl Session {
    /// Most answers that are kept: a server that sends more than it is asked for does not fill
    /// the memory.
    const MAX_ANSWERS: usize = 64;

    /// Takes what the server sent, and returns what is to be answered.
    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut reply = Vec::new();
        for event in self.parser.push(bytes) {
            match event {
                TelnetEvent::Data(data) => self.arrived.extend(data),
                TelnetEvent::Negotiation(verb, option) => self.negotiate(verb, option, &mut reply),
                TelnetEvent::Subnegotiation(TelnetOption::COM_PORT, parameters) => {
                    match Notice::decode(&parameters) {
                        Some(Notice::Done(Request::Suspend(suspend))) => self.suspended = suspend,
                        Some(Notice::Done(request)) => {
                            if self.purging && matches!(request, Request::Purge(_)) {
                                self.purging = false;
                                self.arrived.clear();
                            }
                            if self.answers.len() == Self::MAX_ANSWERS {
                                self.answers.remove(0);
                            }
                            self.answers.push(request);
                        }
                        Some(Notice::LineState(_) | Notice::ModemState(_)) | None => {}
                    }
                }
                TelnetEvent::Subnegotiation(..) => {}
            }
        }
        reply
    }

    fn negotiate(&mut self, verb: Verb, option: TelnetOption, reply: &mut Vec<u8>) {
        match (option, verb) {
            // One of the two directions is enough: servers differ in which they agree to.
            (TelnetOption::COM_PORT, Verb::Do | Verb::Will) => self.agreed = Some(true),
            (TelnetOption::COM_PORT, Verb::Dont | Verb::Wont) => {
                self.agreed.get_or_insert(false);
            }
            // Asked for at the start: this is the answer.
            (TelnetOption::BINARY | TelnetOption::SUPPRESS_GO_AHEAD, _) => {}
            // Whether the other end echoes does not matter to a serial port.
            (TelnetOption::ECHO, Verb::Will) => {
                if !self.echo_agreed {
                    self.echo_agreed = true;
                    encode::negotiation(Verb::Do, option, reply);
                }
            }
            (_, Verb::Will) => encode::negotiation(Verb::Dont, option, reply),
            (_, Verb::Do) => encode::negotiation(Verb::Wont, option, reply),
            (_, Verb::Wont | Verb::Dont) => {}
        }
    }
}

impl Link for Rfc2217Link {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    async fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize, LinkError> {
        while self.session.arrived.is_empty() {
            if !self.receive(deadline)? {
                return Ok(0);
            }
        }
        io::Read::read(&mut self.session.arrived, buffer).map_err(LinkError::Io)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let deadline = self.socket.pace().write_deadline();
        while self.session.suspended {
            if !self.receive(deadline)? {
                return Err(LinkError::Stalled);
            }
        }
        let mut escaped = Vec::new();
        encode::data(bytes, &mut escaped);
        self.socket.write(&escaped)
    }

    async fn set_baud(&mut self, baud: u32) -> Result<(), LinkError> {
        let old = std::mem::replace(&mut self.baud, baud);
        let request = Request::Baud(baud);
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        self.session
            .answers
            .retain(|answer| !is_answer(answer, &request));
        self.socket.write(&bytes)?;
        let result = self.await_baud();
        if result.is_err() {
            self.baud = old;
        }
        result
    }

    fn baud(&self) -> u32 {
        self.baud
    }

    async fn set_lines(&mut self, lines: Lines) -> Result<(), LinkError> {
        let requests: Vec<Request> = lines
            .dtr
            .map(Control::Dtr)
            .into_iter()
            .chain(lines.rts.map(Control::Rts))
            .map(Request::Control)
            .collect();
        let mut bytes = Vec::new();
        for request in &requests {
            request.encode(&mut bytes);
            self.session.answers.retain(|answer| answer != request);
        }
        self.socket.write(&bytes)?;
        for request in &requests {
            if self.address.ignore_set_control || self.session.silent_lines {
                break;
            }
            let timeout = self.optional_answer();
            if self.await_answer(request, timeout)?.is_none() {
                self.session.silent_lines = true;
            }
        }
        Ok(())
    }

    async fn discard_input(&mut self) -> Result<(), LinkError> {
        let request = Request::Purge(Purge::Receive);
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        self.session
            .answers
            .retain(|answer| !is_answer(answer, &request));
        self.socket.write(&bytes)?;
        self.session.arrived.clear();
        if self.session.silent_purge {
            return Ok(());
        }
        self.session.purging = true;
        let timeout = self.optional_answer();
        if self.await_answer(&request, timeout)?.is_none() {
            self.session.arrived.clear();
            self.session.purging = false;
            self.session.silent_purge = true;
        }
        Ok(())
    }

    async fn reopen(&mut self) -> Result<(), LinkError> {
        let pace = self.socket.pace().clone();
        self.socket = Socket::connect(&self.address.host, &self.info.name, pace)?;
        self.session = Session::default();
        self.negotiate()
    }

    fn now(&self) -> Instant {
        self.socket.pace().now()
    }

    async fn sleep(&mut self, time: Duration) -> Result<(), LinkError> {
        self.socket.pace().sleep(time)
    }
}
