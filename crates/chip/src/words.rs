//! Fields read from and written into register words.
//!
//! Every function that needs words takes a closure that gives a word by its address. When the closure
//! has none, the answer is [`WordsError::Missing`] with the address: fetch that word and call again.
//! In this way a session reads exactly the words that a decision needs, each a round trip.

use std::fmt;

use crate::model::{Bits, Field};

/// Gives the word at an address, if it is at hand.
pub type Words<'a> = &'a dyn Fn(u32) -> Option<u32>;

/// Takes bits that are to be set in a word: address, mask of the bits that are meant, their value.
pub type Deposit<'a> = &'a mut dyn FnMut(u32, u32, u32);

/// Why a value could not be worked out of register words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordsError {
    /// The word at this address is needed.
    Missing(u32),
    /// An ESP8266's OTP names no manufacturer: neither a whole OUI nor a known selector (this one).
    UnknownOui(u8),
}

impl fmt::Display for WordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(addr) => write!(f, "the register at {addr:#010x} was not read"),
            Self::UnknownOui(selector) => {
                write!(
                    f,
                    "the MAC address in OTP begins with an unknown OUI (selector {selector})"
                )
            }
        }
    }
}

impl std::error::Error for WordsError {}

/// A field has no form for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositError {
    /// The field.
    pub field: &'static str,
    /// The value that does not fit or has no raw form.
    pub value: u32,
}

impl fmt::Display for DepositError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} does not fit into the field `{}`",
            self.value, self.field
        )
    }
}

impl std::error::Error for DepositError {}

/// The word at an address, or the error that names it.
pub(crate) fn word(words: Words<'_>, addr: u32) -> Result<u32, WordsError> {
    words(addr).ok_or(WordsError::Missing(addr))
}

impl Bits {
    /// The bits in place.
    #[must_use]
    pub const fn mask(self) -> u32 {
        self.ones() << self.lsb
    }

    /// The bits' value in a word that was read from their address.
    #[must_use]
    pub const fn of(self, word: u32) -> u32 {
        (word >> self.lsb) & self.ones()
    }

    /// The bits' value.
    pub fn read(self, words: Words<'_>) -> Result<u32, WordsError> {
        word(words, self.addr).map(|word| self.of(word))
    }

    pub(crate) const fn ones(self) -> u32 {
        u32::MAX >> (32 - self.width)
    }
}

impl Field {
    /// The field's value: the runs joined, then the meaning of that number where the field has a map.
    pub fn read(&self, words: Words<'_>) -> Result<u32, WordsError> {
        let raw = self.raw(words)?;
        if self.map.is_empty() {
            return Ok(raw);
        }
        let meaning = self.map.iter().find(|(value, _)| *value == raw);
        Ok(meaning.map_or(0, |(_, meaning)| *meaning))
    }

    /// What a text shows for the field: its name for the value, or the number.
    pub fn show(&self, words: Words<'_>) -> Result<String, WordsError> {
        let value = self.read(words)?;
        if self.names.is_empty() {
            return Ok(value.to_string());
        }
        let name = self.names.iter().find(|(named, _)| *named == value);
        Ok(name.map_or_else(String::new, |(_, name)| (*name).to_owned()))
    }

    /// The inverse of [`Self::read`]: hands over the bits that make the field read as `value`.
    pub fn deposit(&self, value: u32, set: Deposit<'_>) -> Result<(), DepositError> {
        let error = DepositError {
            field: self.name,
            value,
        };
        let raw = match self.map.iter().find(|(_, meaning)| *meaning == value) {
            Some((raw, _)) => *raw,
            None if self.map.is_empty() => value,
            None => return Err(error),
        };
        for (run, piece) in self.split(raw).ok_or(error)? {
            set(run.addr, run.mask(), piece << run.lsb);
        }
        Ok(())
    }
}
