//! SLIP framing (RFC 1055), as the ROM loaders use it: a delimiter before and after each packet.

const END: u8 = 0xC0;
const ESC: u8 = 0xDB;
const ESC_END: u8 = 0xDC;
const ESC_ESC: u8 = 0xDD;

/// Frames a packet.
pub fn encode(packet: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(packet.len() + packet.len() / 32 + 2);
    framed.push(END);
    for byte in packet {
        match *byte {
            END => framed.extend_from_slice(&[ESC, ESC_END]),
            ESC => framed.extend_from_slice(&[ESC, ESC_ESC]),
            other => framed.push(other),
        }
    }
    framed.push(END);
    framed
}

/// What the decoder found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A whole packet; never empty.
    Packet(Vec<u8>),
    /// Bytes outside of any frame, such as a boot log.
    Text(Vec<u8>),
    /// A frame that was given up.
    Damaged(Damage),
}

/// Why a frame was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The escape byte was followed by neither of its two partners.
    Escape(u8),
    /// More than the largest packet arrived without a delimiter.
    Oversized,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    Inside,
    Escaped,
    /// A frame was given up; skip to the next delimiter.
    Skipping,
}

/// Turns bytes into packets. Bytes may arrive in pieces of any size; at most `max_packet` bytes
/// are kept.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    buffer: Vec<u8>,
    max_packet: usize,
}

impl Decoder {
    /// A decoder that gives up frames over `max_packet` bytes.
    pub fn new(max_packet: usize) -> Self {
        Self {
            state: State::Outside,
            buffer: Vec::new(),
            max_packet,
        }
    }

    /// Forgets a frame that has begun.
    pub fn reset(&mut self) {
        self.state = State::Outside;
        self.buffer.clear();
    }

    /// Whether a frame has begun and not ended.
    pub fn in_frame(&self) -> bool {
        matches!(self.state, State::Inside | State::Escaped | State::Skipping)
            && !(self.state == State::Inside && self.buffer.is_empty())
    }

    /// Takes bytes up to and including the first one that completes something. Returns how many
    /// were taken, and what was completed, if anything.
    pub fn push(&mut self, bytes: &[u8]) -> (usize, Option<Event>) {
        for (at, byte) in bytes.iter().enumerate() {
            if let Some((keep, event)) = self.step(*byte) {
                return (at + usize::from(!keep), Some(event));
            }
        }
        if self.state == State::Outside && !self.buffer.is_empty() {
            return (
                bytes.len(),
                Some(Event::Text(std::mem::take(&mut self.buffer))),
            );
        }
        (bytes.len(), None)
    }

    /// Takes one byte. An event comes with whether the byte is still to be taken.
    fn step(&mut self, byte: u8) -> Option<(bool, Event)> {
        match (self.state, byte) {
            (State::Outside, END) => {
                if !self.buffer.is_empty() {
                    return Some((true, Event::Text(std::mem::take(&mut self.buffer))));
                }
                self.state = State::Inside;
            }
            (State::Outside, other) => self.buffer.push(other),
            // Two delimiters in a row: the second one opens the frame.
            (State::Inside, END) if self.buffer.is_empty() => {}
            (State::Inside, END) => {
                self.state = State::Outside;
                return Some((false, Event::Packet(std::mem::take(&mut self.buffer))));
            }
            (State::Inside, ESC) => self.state = State::Escaped,
            (State::Escaped, ESC_END) => return self.keep(END),
            (State::Escaped, ESC_ESC) => return self.keep(ESC),
            (State::Escaped, other) => {
                self.buffer.clear();
                self.state = if other == END {
                    State::Inside
                } else {
                    State::Skipping
                };
                return Some((false, Event::Damaged(Damage::Escape(other))));
            }
            (State::Inside, other) => return self.keep(other),
            (State::Skipping, END) => self.state = State::Outside,
            (State::Skipping, _) => {}
        }
        None
    }

    fn keep(&mut self, byte: u8) -> Option<(bool, Event)> {
        if self.buffer.len() == self.max_packet {
            self.buffer.clear();
            self.state = State::Skipping;
            return Some((false, Event::Damaged(Damage::Oversized)));
        }
        self.buffer.push(byte);
        self.state = State::Inside;
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode_all(decoder: &mut Decoder, mut bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let (taken, event) = decoder.push(bytes);
            bytes = &bytes[taken..];
            events.extend(event);
        }
        events
    }

    #[test]
    fn both_special_bytes_are_escaped() {
        assert_eq!(
            encode(&[1, END, 2, ESC, 3]),
            [END, 1, ESC, ESC_END, 2, ESC, ESC_ESC, 3, END]
        );
    }

    #[test]
    fn a_boot_log_before_a_packet_is_text() {
        let mut bytes = b"waiting for download\r\n".to_vec();
        bytes.extend(encode(b"OHAI"));
        assert_eq!(
            decode_all(&mut Decoder::new(100), &bytes),
            [
                Event::Text(b"waiting for download\r\n".to_vec()),
                Event::Packet(b"OHAI".to_vec())
            ]
        );
    }

    /// After a lost closing delimiter the opening one of the next packet closes the damaged one:
    /// the damaged one is as long as it came, and the next packet is not lost with it.
    #[test]
    fn a_lost_delimiter_costs_one_packet_only() {
        let mut bytes = encode(b"first");
        bytes.pop();
        bytes.extend(encode(b"second"));
        bytes.extend(encode(b"third"));
        let events = decode_all(&mut Decoder::new(100), &bytes);
        assert!(events.contains(&Event::Packet(b"first".to_vec())));
        assert!(events.contains(&Event::Packet(b"third".to_vec())));
    }

    #[test]
    fn a_frame_without_an_end_is_given_up_and_not_kept() {
        let mut decoder = Decoder::new(8);
        let mut bytes = vec![END];
        bytes.extend([0x11; 9]);
        assert_eq!(
            decode_all(&mut decoder, &bytes),
            [Event::Damaged(Damage::Oversized)]
        );
        assert_eq!(decode_all(&mut decoder, &[0x22; 1000]), []);
        assert_eq!(decode_all(&mut decoder, &[END]), []);
        assert_eq!(
            decode_all(&mut decoder, &encode(b"ok")),
            [Event::Packet(b"ok".to_vec())]
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_in_pieces_of_any_size(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 1..5),
            piece in 1_usize..50,
        ) {
            let bytes: Vec<u8> = packets.iter().flat_map(|packet| encode(packet)).collect();
            let mut decoder = Decoder::new(200);
            let mut events = Vec::new();
            for piece in bytes.chunks(piece) {
                events.extend(decode_all(&mut decoder, piece));
            }
            let expected: Vec<Event> = packets.into_iter().map(Event::Packet).collect();
            prop_assert_eq!(events, expected);
        }

        #[test]
        fn no_bytes_are_kept_beyond_the_bound(bytes: Vec<u8>) {
            let mut decoder = Decoder::new(16);
            for event in decode_all(&mut decoder, &bytes) {
                if let Event::Packet(packet) = event {
                    prop_assert!(!packet.is_empty() && packet.len() <= 16);
                }
            }
        }
    }
}
