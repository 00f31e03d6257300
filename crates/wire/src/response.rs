use thiserror::Error;

use crate::{ErrorCode, HEADER_LEN};

/// An answer of the chip, before its status bytes are told from its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Opcode that is answered.
    pub opcode: u8,
    /// Value word: a register's contents for READ_REG, else of no meaning.
    pub value: u32,
    /// Data and status bytes.
    pub body: Vec<u8>,
}

/// The two status bytes that matter: failed or not, and why.
pub type Status = Result<(), ErrorCode>;

/// Why bytes are not a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ResponseError {
    /// Shorter than a header, or the direction byte is not 1.
    #[error("not a response")]
    NotAResponse,
    /// The length field does not fit the packet.
    #[error("the length field says {said} bytes, {found} follow")]
    WrongLength {
        /// What the header says.
        said: u16,
        /// What follows the header.
        found: usize,
    },
    /// Shorter than two status bytes.
    #[error("no status bytes")]
    NoStatus,
    /// The command succeeded, but with another amount of data.
    #[error("{expected} bytes of data expected, {found} found")]
    WrongDataLength {
        /// What the command answers.
        expected: usize,
        /// What it answered.
        found: usize,
    },
}

impl Response {
    /// Reads a packet, after SLIP framing.
    pub fn decode(packet: &[u8]) -> Result<Self, ResponseError> {
        let Some((header, body)) = packet.split_first_chunk::<HEADER_LEN>() else {
            return Err(ResponseError::NotAResponse);
        };
        let [1, opcode, length_low, length_high, v0, v1, v2, v3] = *header else {
            return Err(ResponseError::NotAResponse);
        };
        let said = u16::from_le_bytes([length_low, length_high]);
        if usize::from(said) != body.len() {
            return Err(ResponseError::WrongLength {
                said,
                found: body.len(),
            });
        }
        let value = u32::from_le_bytes([v0, v1, v2, v3]);
        Ok(Self {
            opcode,
            value,
            body: body.to_vec(),
        })
    }

    /// The packet, before SLIP framing.
    pub fn encode(&self) -> Vec<u8> {
        let mut packet = Vec::with_capacity(HEADER_LEN + self.body.len());
        packet.extend_from_slice(&[1, self.opcode]);
        packet.extend_from_slice(&(self.body.len() as u16).to_le_bytes());
        packet.extend_from_slice(&self.value.to_le_bytes());
        packet.extend_from_slice(&self.body);
        packet
    }

    /// An answer with `status_len` status bytes behind its data.
    pub fn new(opcode: u8, value: u32, data: &[u8], status: Status, status_len: u8) -> Self {
        let (failed, code) = match status {
            Ok(()) => (0, 0),
            Err(code) => (code.failed, code.code),
        };
        let mut body = data.to_vec();
        body.extend_from_slice(&[failed, code]);
        body.resize(data.len() + usize::from(status_len), 0);
        Self {
            opcode,
            value,
            body,
        }
    }

    /// Whether the command failed, and why. A failed command answers with status bytes alone.
    ///
    /// `data_len` is the length of the data of a successful answer, in bytes.
    pub fn status(&self, data_len: usize) -> Result<Status, ResponseError> {
        let at = if self.body.len() < data_len + 2 {
            0
        } else {
            data_len
        };
        let [failed, code, ..] = self.body[at..] else {
            return Err(ResponseError::NoStatus);
        };
        if failed != 0 {
            return Ok(Err(ErrorCode { failed, code }));
        }
        if at != data_len {
            return Err(ResponseError::WrongDataLength {
                expected: data_len,
                found: self.body.len().saturating_sub(2),
            });
        }
        Ok(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_failure_has_no_data_but_its_status_is_found() {
        let code = ErrorCode { failed: 1, code: 7 };
        let response = Response::new(0x13, 0, &[], Err(code), 4);
        assert_eq!(response.status(32), Ok(Err(code)));
    }

    #[test]
    fn status_stands_behind_the_data_with_two_or_four_bytes() {
        for status_len in [2, 4] {
            let response = Response::new(0x0E, 0, &[0xAA; 64], Ok(()), status_len);
            assert_eq!(response.status(64), Ok(Ok(())));
        }
    }

    #[test]
    fn a_success_without_its_data_is_not_taken() {
        let response = Response::new(0x13, 0, &[], Ok(()), 4);
        assert_eq!(
            response.status(32),
            Err(ResponseError::WrongDataLength {
                expected: 32,
                found: 2
            })
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(opcode: u8, value: u32, body: Vec<u8>) {
            let response = Response { opcode, value, body };
            prop_assert_eq!(Response::decode(&response.encode()), Ok(response));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes: Vec<u8>, data_len in 0_usize..100) {
            if let Ok(response) = Response::decode(&bytes) {
                let _ = response.status(data_len);
            }
        }
    }
}
