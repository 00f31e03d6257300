//! Telnet (RFC 854) without I/O: commands among data, told apart by the byte 0xFF.

/// Interpret as command; itself doubled in data.
const IAC: u8 = 0xFF;
const SE: u8 = 0xF0;
const SB: u8 = 0xFA;

/// Longest subnegotiation that is kept, in bytes; COM port options need a few, and a signature is
/// text. What is longer is dropped whole.
pub const MAX_SUBNEGOTIATION: usize = 512;

/// Who shall use an option, and whether.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// The sender uses the option, or offers to.
    Will = 0xFB,
    /// The sender does not use it.
    Wont = 0xFC,
    /// The receiver shall use it.
    Do = 0xFD,
    /// The receiver shall not use it.
    Dont = 0xFE,
}

/// Number of a Telnet option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TelnetOption(pub u8);

impl TelnetOption {
    /// Eight-bit data (RFC 856).
    pub const BINARY: Self = Self(0);
    /// The other end echoes (RFC 857).
    pub const ECHO: Self = Self(1);
    /// No go-ahead signals (RFC 858).
    pub const SUPPRESS_GO_AHEAD: Self = Self(3);
    /// Com Port Control (RFC 2217).
    pub const COM_PORT: Self = Self(44);
}

/// What the parser found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TelnetEvent {
    /// Data, with doubled bytes made single; never empty.
    Data(Vec<u8>),
    /// An option is offered, asked for or refused.
    Negotiation(Verb, TelnetOption),
    /// Parameters of an option.
    Subnegotiation(TelnetOption, Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Data,
    Command,
    Negotiation(Verb),
    Subnegotiation,
    SubnegotiationCommand,
}

/// Turns what a Telnet peer sends into events. Bytes may arrive in pieces of any size; at most
/// [`MAX_SUBNEGOTIATION`] bytes are kept between calls.
#[derive(Debug)]
pub struct Parser {
    state: State,
    parameters: Vec<u8>,
    oversized: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Self {
            state: State::Data,
            parameters: Vec::new(),
            oversized: false,
        }
    }
}

impl Parser {
    /// Takes bytes, and returns what they complete, in order.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<TelnetEvent> {
        let mut events = Vec::new();
        let mut data = Vec::new();
        for &byte in bytes {
            match (self.state, byte) {
                (State::Data, IAC) => self.state = State::Command,
                (State::Data, other) => data.push(other),
                (State::Command, IAC) => {
                    data.push(IAC);
                    self.state = State::Data;
                }
                (State::Command, SB) => {
                    self.parameters.clear();
                    self.oversized = false;
                    self.state = State::Subnegotiation;
                }
                (State::Command, other) => {
                    // Other commands (break, are you there) mean nothing to a serial port.
                    self.state = verb(other).map_or(State::Data, State::Negotiation);
                }
                (State::Negotiation(verb), option) => {
                    flush(&mut data, &mut events);
                    events.push(TelnetEvent::Negotiation(verb, TelnetOption(option)));
                    self.state = State::Data;
                }
                (State::Subnegotiation, IAC) => self.state = State::SubnegotiationCommand,
                (State::Subnegotiation, other) => self.keep(other),
                (State::SubnegotiationCommand, IAC) => {
                    self.keep(IAC);
                    self.state = State::Subnegotiation;
                }
                (State::SubnegotiationCommand, SE) => {
                    flush(&mut data, &mut events);
                    events.extend(self.subnegotiation());
                    self.state = State::Data;
                }
                (State::SubnegotiationCommand, other) => {
                    // The end was lost: give up the parameters and go on with the command.
                    self.parameters.clear();
                    self.state = match other {
                        SB => State::Subnegotiation,
                        other => verb(other).map_or(State::Data, State::Negotiation),
                    };
                }
            }
        }
        flush(&mut data, &mut events);
        events
    }

    fn keep(&mut self, byte: u8) {
        if self.parameters.len() == MAX_SUBNEGOTIATION {
            self.oversized = true;
        } else {
            self.parameters.push(byte);
        }
    }

    fn subnegotiation(&mut self) -> Option<TelnetEvent> {
        let parameters = std::mem::take(&mut self.parameters);
        let (option, parameters) = parameters.split_first()?;
        (!self.oversized)
            .then(|| TelnetEvent::Subnegotiation(TelnetOption(*option), parameters.to_vec()))
    }
}

fn verb(byte: u8) -> Option<Verb> {
    [Verb::Will, Verb::Wont, Verb::Do, Verb::Dont]
        .into_iter()
        .find(|verb| *verb as u8 == byte)
}

fn flush(data: &mut Vec<u8>, events: &mut Vec<TelnetEvent>) {
    if !data.is_empty() {
        events.push(TelnetEvent::Data(std::mem::take(data)));
    }
}

/// Telnet's bytes for what is to be sent.
pub mod encode {
    use super::{IAC, SB, SE, TelnetOption, Verb};

    /// Appends data, with 0xFF doubled.
    pub fn data(bytes: &[u8], out: &mut Vec<u8>) {
        out.reserve(bytes.len());
        for &byte in bytes {
            if byte == IAC {
                out.push(IAC);
            }
            out.push(byte);
        }
    }

    /// Appends an offer, request or refusal of an option.
    pub fn negotiation(verb: Verb, option: TelnetOption, out: &mut Vec<u8>) {
        out.extend_from_slice(&[IAC, verb as u8, option.0]);
    }

    /// Appends parameters of an option.
    pub fn subnegotiation(option: TelnetOption, parameters: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&[IAC, SB]);
        data(&[option.0], out);
        data(parameters, out);
        out.extend_from_slice(&[IAC, SE]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(events: Vec<TelnetEvent>) -> Vec<TelnetEvent> {
        let mut joined: Vec<TelnetEvent> = Vec::new();
        for event in events {
            if let (Some(TelnetEvent::Data(data)), TelnetEvent::Data(more)) =
                (joined.last_mut(), &event)
            {
                data.extend_from_slice(more);
                continue;
            }
            joined.push(event);
        }
        joined
    }

    #[test]
    fn a_command_amid_data_does_not_disturb_them() {
        let mut parser = Parser::default();
        let bytes = [1, IAC, Verb::Do as u8, 44, IAC, 0xF1, 2, IAC, IAC, 3];
        assert_eq!(
            parser.push(&bytes),
            [
                TelnetEvent::Data(vec![1]),
                TelnetEvent::Negotiation(Verb::Do, TelnetOption::COM_PORT),
                TelnetEvent::Data(vec![2, IAC, 3]),
            ]
        );
    }

    #[test]
    fn an_oversized_subnegotiation_is_dropped_and_what_follows_is_not() {
        let mut parser = Parser::default();
        let mut bytes = Vec::new();
        encode::subnegotiation(TelnetOption::COM_PORT, &[7; 10_000], &mut bytes);
        encode::subnegotiation(TelnetOption::COM_PORT, &[1], &mut bytes);
        assert_eq!(
            parser.push(&bytes),
            [TelnetEvent::Subnegotiation(TelnetOption::COM_PORT, vec![1])]
        );
    }

    #[test]
    fn a_subnegotiation_without_its_end_costs_itself_only() {
        let mut parser = Parser::default();
        let mut bytes = vec![IAC, SB, 44, 5, 8];
        encode::negotiation(Verb::Will, TelnetOption::BINARY, &mut bytes);
        bytes.push(9);
        assert_eq!(
            parser.push(&bytes),
            [
                TelnetEvent::Negotiation(Verb::Will, TelnetOption::BINARY),
                TelnetEvent::Data(vec![9]),
            ]
        );
    }

    fn event() -> impl Strategy<Value = TelnetEvent> {
        let verb = prop_oneof![
            Just(Verb::Will),
            Just(Verb::Wont),
            Just(Verb::Do),
            Just(Verb::Dont)
        ];
        // Bytes that are escaped come often.
        let byte = prop_oneof![Just(IAC), Just(SE), any::<u8>()];
        let bytes = prop::collection::vec(byte, 0..50);
        prop_oneof![
            bytes
                .clone()
                .prop_filter("data are never empty", |data| !data.is_empty())
                .prop_map(TelnetEvent::Data),
            (verb, any::<u8>())
                .prop_map(|(verb, option)| TelnetEvent::Negotiation(verb, TelnetOption(option))),
            (any::<u8>(), bytes).prop_map(|(option, parameters)| TelnetEvent::Subnegotiation(
                TelnetOption(option),
                parameters
            )),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_parsed_in_pieces_of_any_size(
            events in prop::collection::vec(event(), 0..20),
            piece in 1_usize..20,
        ) {
            let mut bytes = Vec::new();
            for event in &events {
                match event {
                    TelnetEvent::Data(data) => encode::data(data, &mut bytes),
                    TelnetEvent::Negotiation(verb, option) => {
                        encode::negotiation(*verb, *option, &mut bytes);
                    }
                    TelnetEvent::Subnegotiation(option, parameters) => {
                        encode::subnegotiation(*option, parameters, &mut bytes);
                    }
                }
            }
            let mut parser = Parser::default();
            let found = bytes.chunks(piece).flat_map(|piece| parser.push(piece)).collect();
            prop_assert_eq!(joined(found), joined(events));
        }

        #[test]
        fn no_bytes_are_kept_beyond_the_bound(bytes: Vec<u8>) {
            let mut parser = Parser::default();
            parser.push(&[IAC, SB]);
            parser.push(&bytes);
            prop_assert!(parser.parameters.len() <= MAX_SUBNEGOTIATION);
        }
    }
}
