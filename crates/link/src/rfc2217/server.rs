use super::com_port::{Control, Notice, PARITY_NONE, Purge, Request, STOP_SIZE_ONE};
use super::telnet::{Parser, TelnetEvent, TelnetOption, Verb, encode};

/// What a client wants done with the port, in the order in which it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// Bytes for the device; never empty.
    Data(Vec<u8>),
    /// New baud rate in bits per second; never 0.
    Baud(u32),
    /// New number of data bits.
    DataSize(u8),
    /// New parity: 1 none, 2 odd, 3 even, 4 mark, 5 space.
    Parity(u8),
    /// New stop bits: 1 one, 2 two, 3 one and a half.
    StopSize(u8),
    /// DTR shall be asserted or released.
    Dtr(bool),
    /// RTS shall be asserted or released.
    Rts(bool),
    /// A break starts or ends.
    Break(bool),
    /// Buffers shall be emptied.
    Purge(Purge),
    /// The client wants no data for now, or wants them again.
    Suspend(bool),
}

/// The modem lines that come from the device's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModemState {
    /// Clear to send.
    pub cts: bool,
    /// Data set ready.
    pub dsr: bool,
    /// Ring indicator.
    pub ring: bool,
    /// Carrier detect.
    pub carrier: bool,
}

impl ModemState {
    fn bits(self) -> u8 {
        u8::from(self.cts) << 4
            | u8::from(self.dsr) << 5
            | u8::from(self.ring) << 6
            | u8::from(self.carrier) << 7
    }
}

/// One client's session at the port's end, without I/O.
///
/// Give it what the socket receives with [`receive`](Self::receive) and do what it returns; put
/// what the device sends through [`send`](Self::send); and write what
/// [`take_output`](Self::take_output) returns to the socket after each of these calls, and once at
/// the start. Every request is answered as done at once, before the caller does it: what is to be
/// sent and was not yet when a [`Purge`] comes must be dropped, not sent behind the answer.
#[derive(Debug)]
pub struct Server {
    parser: Parser,
    output: Vec<u8>,
    options: Vec<OptionState>,
    settings: Settings,
    modem: ModemState,
    modem_mask: u8,
    /// Notices go only to a client that has agreed to the option.
    agreed: bool,
}

#[derive(Debug)]
struct Settings {
    baud: u32,
    data_size: u8,
    parity: u8,
    stop_size: u8,
    flow: Control,
    dtr: bool,
    rts: bool,
    sending_break: bool,
}

/// What was last said about an option in each direction. An answer goes out only when it changes,
/// so that two peers cannot answer each other for ever.
#[derive(Debug)]
struct OptionState {
    option: TelnetOption,
    ours: bool,
    theirs: bool,
}

const SIGNATURE: &[u8] = b"guru";

impl Server {
    /// A session with a new client, at a port with this baud rate and both lines released.
    pub fn new(baud: u32) -> Self {
        let offered = [
            (TelnetOption::BINARY, true, true),
            (TelnetOption::SUPPRESS_GO_AHEAD, true, true),
            (TelnetOption::ECHO, true, false),
            (TelnetOption::COM_PORT, true, true),
        ];
        let mut output = Vec::new();
        let options = offered
            .into_iter()
            .map(|(option, ours, theirs)| {
                if ours {
                    encode::negotiation(Verb::Will, option, &mut output);
                }
                if theirs {
                    encode::negotiation(Verb::Do, option, &mut output);
                }
                OptionState {
                    option,
                    ours,
                    theirs,
                }
            })
            .collect();
        Self {
            parser: Parser::default(),
            output,
            options,
            settings: Settings {
                baud,
                data_size: 8,
                parity: PARITY_NONE,
                stop_size: STOP_SIZE_ONE,
                flow: Control::NoFlow,
                dtr: false,
                rts: false,
                sending_break: false,
            },
            modem: ModemState::default(),
            modem_mask: 0xFF,
            agreed: false,
        }
    }

    /// Takes what the client sent, and returns what is to be done, in order.
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<ServerEvent> {
        let mut events = Vec::new();
        for event in self.parser.push(bytes) {
            match event {
                TelnetEvent::Data(data) => events.push(ServerEvent::Data(data)),
                TelnetEvent::Negotiation(verb, option) => self.negotiate(verb, option),
                TelnetEvent::Subnegotiation(TelnetOption::COM_PORT, parameters) => {
                    self.agree();
                    if let Some(request) = Request::decode(&parameters) {
                        events.extend(self.serve(request));
                    }
                }
                TelnetEvent::Subnegotiation(..) => {}
            }
        }
        events
    }

    /// Puts the device's bytes into the output.
    pub fn send(&mut self, data: &[u8]) {
        encode::data(data, &mut self.output);
    }

    /// Tells the client of changed modem lines.
    pub fn set_modem_state(&mut self, state: ModemState) {
        let changed = self.modem.bits() ^ state.bits();
        self.modem = state;
        if self.agreed && changed & self.modem_mask != 0 {
            self.notify_modem_state(changed >> 4);
        }
    }

    /// Takes the bytes for the client's socket.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Whether the client has agreed to the Com Port Control option.
    pub fn agreed(&self) -> bool {
        self.agreed
    }

    fn notify_modem_state(&mut self, changed: u8) {
        let bits = (self.modem.bits() | changed) & self.modem_mask;
        Notice::ModemState(bits).encode(&mut self.output);
    }

    fn negotiate(&mut self, verb: Verb, option: TelnetOption) {
        let known = self.options.iter_mut().find(|known| known.option == option);
        let answer = match (known, verb) {
            (Some(state), Verb::Do) => (!state.ours).then(|| {
                state.ours = true;
                Verb::Will
            }),
            (Some(state), Verb::Dont) => state.ours.then(|| {
                state.ours = false;
                Verb::Wont
            }),
            // Only the client may send parameters of the port as requests, and it need not echo.
            (Some(state), Verb::Will) if option != TelnetOption::ECHO => {
                (!state.theirs).then(|| {
                    state.theirs = true;
                    Verb::Do
                })
            }
            (Some(state), Verb::Wont) => state.theirs.then(|| {
                state.theirs = false;
                Verb::Dont
            }),
            (_, Verb::Do) => Some(Verb::Wont),
            (_, Verb::Will) => Some(Verb::Dont),
            (None, Verb::Dont | Verb::Wont) => None,
        };
        if let Some(answer) = answer {
            encode::negotiation(answer, option, &mut self.output);
        }
        if option == TelnetOption::COM_PORT && matches!(verb, Verb::Do | Verb::Will) {
            self.agree();
        }
    }

    /// The client knows the option, by what it said or by using it: pySerial takes an offer that
    /// comes before its own without an answer.
    fn agree(&mut self) {
        if !self.agreed {
            self.agreed = true;
            self.notify_modem_state(0);
        }
    }

    fn serve(&mut self, request: Request) -> Option<ServerEvent> {
        let settings = &mut self.settings;
        let mut done = |request: Request| request.encode_answer(&mut self.output);
        match request {
            Request::Signature(text) => {
                if text.is_empty() {
                    done(Request::Signature(SIGNATURE.to_vec()));
                }
                None
            }
            Request::Baud(baud) => {
                let change = baud != 0;
                if change {
                    settings.baud = baud;
                }
                done(Request::Baud(settings.baud));
                change.then_some(ServerEvent::Baud(baud))
            }
            Request::DataSize(value) => {
                let change = (5..=8).contains(&value);
                if change {
                    settings.data_size = value;
                }
                done(Request::DataSize(settings.data_size));
                change.then_some(ServerEvent::DataSize(value))
            }
            Request::Parity(value) => {
                let change = (1..=5).contains(&value);
                if change {
                    settings.parity = value;
                }
                done(Request::Parity(settings.parity));
                change.then_some(ServerEvent::Parity(value))
            }
            Request::StopSize(value) => {
                let change = (1..=3).contains(&value);
                if change {
                    settings.stop_size = value;
                }
                done(Request::StopSize(settings.stop_size));
                change.then_some(ServerEvent::StopSize(value))
            }
            Request::Control(control) => {
                let event = match control {
                    Control::NoFlow | Control::SoftwareFlow | Control::HardwareFlow => {
                        settings.flow = control;
                        None
                    }
                    Control::Break(on) => {
                        settings.sending_break = on;
                        Some(ServerEvent::Break(on))
                    }
                    Control::Dtr(on) => {
                        settings.dtr = on;
                        Some(ServerEvent::Dtr(on))
                    }
                    Control::Rts(on) => {
                        settings.rts = on;
                        Some(ServerEvent::Rts(on))
                    }
                    Control::AskFlow | Control::AskBreak | Control::AskDtr | Control::AskRts => {
                        None
                    }
                    // Not supported, and so not confirmed.
                    Control::Other(_) => return None,
                };
                done(Request::Control(match control {
                    Control::AskFlow => settings.flow,
                    Control::AskBreak => Control::Break(settings.sending_break),
                    Control::AskDtr => Control::Dtr(settings.dtr),
                    Control::AskRts => Control::Rts(settings.rts),
                    set => set,
                }));
                event
            }
            Request::LineState => {
                Notice::LineState(0).encode(&mut self.output);
                None
            }
            Request::ModemState => {
                self.notify_modem_state(0);
                None
            }
            Request::Suspend(suspend) => Some(ServerEvent::Suspend(suspend)),
            Request::LineStateMask(mask) => {
                done(Request::LineStateMask(mask));
                None
            }
            Request::ModemStateMask(mask) => {
                self.modem_mask = mask;
                done(Request::ModemStateMask(mask));
                None
            }
            Request::Purge(which) => {
                done(Request::Purge(which));
                Some(ServerEvent::Purge(which))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(server: &mut Server) -> Vec<TelnetEvent> {
        Parser::default().push(&server.take_output())
    }

    fn request(request: Request) -> Vec<u8> {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        bytes
    }

    #[test]
    fn an_option_is_answered_once() {
        let mut server = Server::new(115_200);
        let greeting = said(&mut server);
        assert!(greeting.contains(&TelnetEvent::Negotiation(Verb::Do, TelnetOption::COM_PORT)));
        let mut will = Vec::new();
        encode::negotiation(Verb::Will, TelnetOption::BINARY, &mut will);
        assert!(server.receive(&will).is_empty());
        assert!(said(&mut server).is_empty(), "it was asked for already");
    }

    #[test]
    fn an_unknown_option_is_refused() {
        let mut server = Server::new(115_200);
        server.take_output();
        let mut bytes = Vec::new();
        encode::negotiation(Verb::Do, TelnetOption(31), &mut bytes);
        encode::negotiation(Verb::Will, TelnetOption(24), &mut bytes);
        server.receive(&bytes);
        assert_eq!(
            said(&mut server),
            [
                TelnetEvent::Negotiation(Verb::Wont, TelnetOption(31)),
                TelnetEvent::Negotiation(Verb::Dont, TelnetOption(24)),
            ]
        );
    }

    #[test]
    fn requests_come_out_in_order_with_the_data_between_them() {
        let mut server = Server::new(115_200);
        let mut bytes = request(Request::Control(Control::Dtr(true)));
        encode::data(&[1, 0xFF], &mut bytes);
        bytes.extend(request(Request::Baud(460_800)));
        bytes.extend(request(Request::Baud(0)));
        bytes.extend(request(Request::Purge(Purge::Receive)));
        assert_eq!(
            server.receive(&bytes),
            [
                ServerEvent::Dtr(true),
                ServerEvent::Data(vec![1, 0xFF]),
                ServerEvent::Baud(460_800),
                ServerEvent::Purge(Purge::Receive),
            ]
        );
    }

    #[test]
    fn a_setting_that_does_not_exist_is_answered_with_the_present_one() {
        let mut server = Server::new(115_200);
        server.receive(&request(Request::Baud(0)));
        server.take_output();
        assert!(server.receive(&request(Request::DataSize(9))).is_empty());
        let mut expected = Vec::new();
        Request::DataSize(8).encode_answer(&mut expected);
        assert_eq!(server.take_output(), expected);
    }

    #[test]
    fn a_client_that_uses_the_option_without_an_answer_to_its_offer_is_told_of_modem_lines() {
        let mut server = Server::new(115_200);
        server.take_output();
        server.receive(&request(Request::Baud(0)));
        let mut expected = Vec::new();
        Notice::ModemState(0).encode(&mut expected);
        Request::Baud(115_200).encode_answer(&mut expected);
        assert_eq!(server.take_output(), expected);
    }

    #[test]
    fn modem_lines_are_told_when_they_change_and_are_not_masked() {
        let mut server = Server::new(115_200);
        let mut will = Vec::new();
        encode::negotiation(Verb::Will, TelnetOption::COM_PORT, &mut will);
        server.receive(&will);
        server.take_output();
        let state = ModemState {
            cts: true,
            ..ModemState::default()
        };
        server.set_modem_state(state);
        let mut expected = Vec::new();
        Notice::ModemState(0b0001_0001).encode(&mut expected);
        assert_eq!(server.take_output(), expected);
        server.set_modem_state(state);
        assert!(server.take_output().is_empty());
        server.receive(&request(Request::ModemStateMask(0x80)));
        server.take_output();
        server.set_modem_state(ModemState::default());
        assert!(server.take_output().is_empty());
    }

    proptest! {
        #[test]
        fn no_client_makes_it_panic_or_answer_without_bound(bytes: Vec<u8>) {
            let mut server = Server::new(115_200);
            server.take_output();
            server.receive(&bytes);
            prop_assert!(server.take_output().len() <= 8 + 4 * bytes.len());
        }
    }
}
