//! Parameters of the Com Port Control option.

use super::telnet::{TelnetOption, encode};

/// What the server adds to a command's number when it answers it.
const ANSWER: u8 = 100;

const SIGNATURE: u8 = 0;
const SET_BAUDRATE: u8 = 1;
const SET_DATASIZE: u8 = 2;
const SET_PARITY: u8 = 3;
const SET_STOPSIZE: u8 = 4;
const SET_CONTROL: u8 = 5;
const NOTIFY_LINESTATE: u8 = 6;
const NOTIFY_MODEMSTATE: u8 = 7;
const FLOWCONTROL_SUSPEND: u8 = 8;
const FLOWCONTROL_RESUME: u8 = 9;
const SET_LINESTATE_MASK: u8 = 10;
const SET_MODEMSTATE_MASK: u8 = 11;
const PURGE_DATA: u8 = 12;

/// Value of SET-PARITY for none.
pub const PARITY_NONE: u8 = 1;
/// Value of SET-STOPSIZE for one stop bit.
pub const STOP_SIZE_ONE: u8 = 1;

/// Value of SET-CONTROL. Inbound flow control and DCD, DTR and DSR flow control have higher
/// numbers, and are [`Control::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Which flow control is in use?
    AskFlow,
    /// No flow control.
    NoFlow,
    /// XON/XOFF.
    SoftwareFlow,
    /// RTS/CTS.
    HardwareFlow,
    /// Is a break being sent?
    AskBreak,
    /// Starts or ends a break.
    Break(bool),
    /// Is DTR asserted?
    AskDtr,
    /// Asserts or releases DTR.
    Dtr(bool),
    /// Is RTS asserted?
    AskRts,
    /// Asserts or releases RTS.
    Rts(bool),
    /// Another number.
    Other(u8),
}

impl Control {
    /// The value with this number.
    pub fn from_number(number: u8) -> Self {
        match number {
            0 => Self::AskFlow,
            1 => Self::NoFlow,
            2 => Self::SoftwareFlow,
            3 => Self::HardwareFlow,
            4 => Self::AskBreak,
            5 => Self::Break(true),
            6 => Self::Break(false),
            7 => Self::AskDtr,
            8 => Self::Dtr(true),
            9 => Self::Dtr(false),
            10 => Self::AskRts,
            11 => Self::Rts(true),
            12 => Self::Rts(false),
            other => Self::Other(other),
        }
    }

    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Self::AskFlow => 0,
            Self::NoFlow => 1,
            Self::SoftwareFlow => 2,
            Self::HardwareFlow => 3,
            Self::AskBreak => 4,
            Self::Break(true) => 5,
            Self::Break(false) => 6,
            Self::AskDtr => 7,
            Self::Dtr(true) => 8,
            Self::Dtr(false) => 9,
            Self::AskRts => 10,
            Self::Rts(true) => 11,
            Self::Rts(false) => 12,
            Self::Other(number) => number,
        }
    }
}

/// Which buffers of the server to empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purge {
    /// What came from the device and was not sent to the client.
    Receive = 1,
    /// What came from the client and was not sent to the device.
    Transmit = 2,
    /// Both.
    Both = 3,
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Tells who the client is, or (empty) asks who the server is.
    Signature(Vec<u8>),
    /// Baud rate in bits per second; 0 asks for the present one.
    Baud(u32),
    /// Data bits; 0 asks for the present value.
    DataSize(u8),
    /// 1 none, 2 odd, 3 even, 4 mark, 5 space; 0 asks.
    Parity(u8),
    /// 1 one, 2 two, 3 one and a half stop bits; 0 asks.
    StopSize(u8),
    /// Lines and flow control.
    Control(Control),
    /// Asks for the line state.
    LineState,
    /// Asks for the modem state.
    ModemState,
    /// The server shall stop or go on sending data.
    Suspend(bool),
    /// Changes of these bits of the line state shall be told.
    LineStateMask(u8),
    /// Changes of these bits of the modem state shall be told.
    ModemStateMask(u8),
    /// Empties buffers.
    Purge(Purge),
}

impl Request {
    /// Reads the parameters of a subnegotiation; `None` if a client may not send them.
    pub fn decode(parameters: &[u8]) -> Option<Self> {
        let (command, value) = parameters.split_first()?;
        Some(match (*command, value) {
            (SIGNATURE, text) => Self::Signature(text.to_vec()),
            (SET_BAUDRATE, [a, b, c, d]) => Self::Baud(u32::from_be_bytes([*a, *b, *c, *d])),
            (SET_DATASIZE, [value]) => Self::DataSize(*value),
            (SET_PARITY, [value]) => Self::Parity(*value),
            (SET_STOPSIZE, [value]) => Self::StopSize(*value),
            (SET_CONTROL, [value]) => Self::Control(Control::from_number(*value)),
            (NOTIFY_LINESTATE, _) => Self::LineState,
            (NOTIFY_MODEMSTATE, _) => Self::ModemState,
            (FLOWCONTROL_SUSPEND, _) => Self::Suspend(true),
            (FLOWCONTROL_RESUME, _) => Self::Suspend(false),
            (SET_LINESTATE_MASK, [mask]) => Self::LineStateMask(*mask),
            (SET_MODEMSTATE_MASK, [mask]) => Self::ModemStateMask(*mask),
            (PURGE_DATA, [1]) => Self::Purge(Purge::Receive),
            (PURGE_DATA, [2]) => Self::Purge(Purge::Transmit),
            (PURGE_DATA, [3]) => Self::Purge(Purge::Both),
            _ => return None,
        })
    }

    /// Appends the request as Telnet's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (command, value) = self.parts();
        push(command, &value, out);
    }

    /// Appends the answer of a server that does as it is asked.
    pub fn encode_answer(&self, out: &mut Vec<u8>) {
        let (command, value) = self.parts();
        push(command + ANSWER, &value, out);
    }

    fn parts(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Signature(text) => (SIGNATURE, text.clone()),
            Self::Baud(baud) => (SET_BAUDRATE, baud.to_be_bytes().to_vec()),
            Self::DataSize(value) => (SET_DATASIZE, vec![*value]),
            Self::Parity(value) => (SET_PARITY, vec![*value]),
            Self::StopSize(value) => (SET_STOPSIZE, vec![*value]),
            Self::Control(control) => (SET_CONTROL, vec![control.number()]),
            Self::LineState => (NOTIFY_LINESTATE, vec![]),
            Self::ModemState => (NOTIFY_MODEMSTATE, vec![]),
            Self::Suspend(true) => (FLOWCONTROL_SUSPEND, vec![]),
            Self::Suspend(false) => (FLOWCONTROL_RESUME, vec![]),
            Self::LineStateMask(mask) => (SET_LINESTATE_MASK, vec![*mask]),
            Self::ModemStateMask(mask) => (SET_MODEMSTATE_MASK, vec![*mask]),
            Self::Purge(which) => (PURGE_DATA, vec![*which as u8]),
        }
    }
}

/// What a server tells: that it did something, or that something changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A setting has this value now.
    Done(Request),
    /// Line state: errors and break.
    LineState(u8),
    /// Modem state: CTS, DSR, RI, CD and which of them changed.
    ModemState(u8),
}

impl Notice {
    /// Reads the parameters of a subnegotiation; `None` if a server may not send them.
    pub fn decode(parameters: &[u8]) -> Option<Self> {
        let (command, value) = parameters.split_first()?;
        // A server suspends and resumes by the client's own numbers.
        let command = match *command {
            FLOWCONTROL_SUSPEND => return Some(Self::Done(Request::Suspend(true))),
            FLOWCONTROL_RESUME => return Some(Self::Done(Request::Suspend(false))),
            other => other.checked_sub(ANSWER)?,
        };
        match (command, value) {
            (NOTIFY_LINESTATE, [state]) => Some(Self::LineState(*state)),
            (NOTIFY_MODEMSTATE, [state]) => Some(Self::ModemState(*state)),
            _ => {
                let mut request = vec![command];
                request.extend_from_slice(value);
                Request::decode(&request).map(Self::Done)
            }
        }
    }

    /// Appends the notice as Telnet's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Done(request) => request.encode_answer(out),
            Self::LineState(state) => push(NOTIFY_LINESTATE + ANSWER, &[*state], out),
            Self::ModemState(state) => push(NOTIFY_MODEMSTATE + ANSWER, &[*state], out),
        }
    }
}

fn push(command: u8, value: &[u8], out: &mut Vec<u8>) {
    let mut parameters = vec![command];
    parameters.extend_from_slice(value);
    encode::subnegotiation(TelnetOption::COM_PORT, &parameters, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::telnet::{Parser, TelnetEvent};
    use super::*;

    fn request() -> impl Strategy<Value = Request> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Request::Signature),
            any::<u32>().prop_map(Request::Baud),
            any::<u8>().prop_map(Request::DataSize),
            any::<u8>().prop_map(Request::Parity),
            any::<u8>().prop_map(Request::StopSize),
            any::<u8>().prop_map(|number| Request::Control(Control::from_number(number))),
            any::<bool>().prop_map(Request::Suspend),
            any::<u8>().prop_map(Request::LineStateMask),
            any::<u8>().prop_map(Request::ModemStateMask),
            Just(Request::Purge(Purge::Both)),
        ]
    }

    fn parameters(bytes: &[u8]) -> Vec<u8> {
        match Parser::default().push(bytes).as_slice() {
            [TelnetEvent::Subnegotiation(TelnetOption::COM_PORT, parameters)] => parameters.clone(),
            other => panic!("one subnegotiation expected, {other:?} found"),
        }
    }

    proptest! {
        #[test]
        fn requests_and_answers_survive_the_round_trip(request in request()) {
            let mut bytes = Vec::new();
            request.encode(&mut bytes);
            prop_assert_eq!(Request::decode(&parameters(&bytes)), Some(request.clone()));
            let mut bytes = Vec::new();
            request.encode_answer(&mut bytes);
            prop_assert_eq!(Notice::decode(&parameters(&bytes)), Some(Notice::Done(request)));
        }

        #[test]
        fn no_bytes_make_the_decoders_panic(bytes: Vec<u8>) {
            let _ = Request::decode(&bytes);
            let _ = Notice::decode(&bytes);
        }
    }

    #[test]
    fn numbers_are_those_of_the_rfc() {
        let mut bytes = Vec::new();
        Request::Control(Control::Rts(true)).encode(&mut bytes);
        assert_eq!(bytes, [0xFF, 0xFA, 44, 5, 11, 0xFF, 0xF0]);
        bytes.clear();
        Request::Baud(0xFF00).encode_answer(&mut bytes);
        assert_eq!(
            bytes,
            [0xFF, 0xFA, 44, 101, 0, 0, 0xFF, 0xFF, 0, 0xFF, 0xF0]
        );
    }
}
