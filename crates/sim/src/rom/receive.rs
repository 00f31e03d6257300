const END: u8 = 0xC0;
const ESC: u8 = 0xDB;
const ESC_END: u8 = 0xDC;
const ESC_ESC: u8 = 0xDD;

/// Size of the buffer that a packet is received into, in bytes.
pub(crate) const PACKET: usize = 0x2000;

/// The ROM's own way of finding packets in what it receives (`recv_packet`). It differs from a
/// strict decoder in what it forgives: an unknown escape counts as the byte behind it, and what is
/// too long for the buffer is cut. The buffer is not cleared between packets, and nothing
/// downstream looks at how long a packet was: a short one is read on into what an earlier one
/// left.
#[derive(Debug)]
pub(crate) struct Receiver {
    state: State,
    len: usize,
    buffer: Box<[u8; PACKET]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    Inside,
    Escaped,
}

impl Receiver {
    pub fn new() -> Self {
        Self {
            state: State::Outside,
            len: 0,
            buffer: Box::new([0; PACKET]),
        }
    }

    /// Takes bytes up to the end of a packet. Returns how many were taken, and whether a packet
    /// has ended.
    pub fn push(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (at, byte) in bytes.iter().enumerate() {
            match (self.state, *byte) {
                (State::Outside, END) => {
                    self.state = State::Inside;
                    self.len = 0;
                }
                (State::Outside, _) => {}
                (State::Inside, END) if self.len == 0 => {}
                (State::Inside, END) => {
                    self.state = State::Outside;
                    return (at + 1, true);
                }
                (State::Inside, ESC) => self.state = State::Escaped,
                (State::Inside, other) => self.keep(other),
                (State::Escaped, other) => {
                    self.state = State::Inside;
                    self.keep(match other {
                        ESC_END => END,
                        ESC_ESC => ESC,
                        unknown => unknown,
                    });
                }
            }
        }
        (bytes.len(), false)
    }

    /// The buffer, which begins with the last packet.
    pub fn buffer(&self) -> &[u8; PACKET] {
        &self.buffer
    }

    fn keep(&mut self, byte: u8) {
        if let Some(place) = self.buffer.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut receiver = Receiver::new();
        let mut rest = bytes;
        let mut found = Vec::new();
        while !rest.is_empty() {
            let (taken, ended) = receiver.push(rest);
            rest = &rest[taken..];
            if ended {
                found.push(receiver.buffer()[..receiver.len].to_vec());
            }
        }
        found
    }

    #[test]
    fn noise_around_packets_is_skipped() {
        let mut bytes = b"noise".to_vec();
        bytes.extend(guru_wire::slip::encode(&[1, END, ESC, 2]));
        bytes.extend(b"more");
        bytes.extend(guru_wire::slip::encode(b"next"));
        assert_eq!(packets(&bytes), [vec![1, END, ESC, 2], b"next".to_vec()]);
    }

    #[test]
    fn an_unknown_escape_counts_as_the_byte_behind_it() {
        assert_eq!(
            packets(&[END, 1, ESC, 7, ESC, END, 2, END]),
            [[1, 7, END, 2]]
        );
    }

    #[test]
    fn after_a_lost_delimiter_the_packet_after_next_is_whole() {
        let mut bytes = guru_wire::slip::encode(b"first");
        bytes.pop();
        for packet in [b"second".as_slice(), b"third", b"fourth"] {
            bytes.extend(guru_wire::slip::encode(packet));
        }
        let found = packets(&bytes);
        assert_eq!(found[0], b"first");
        assert!(found.contains(&b"third".to_vec()), "{found:?}");
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let mut bytes = vec![END];
        bytes.extend(vec![0x11; 2 * PACKET]);
        bytes.push(END);
        assert_eq!(packets(&bytes)[0].len(), PACKET);
    }
}
