//! Bits as people write them: `"blk1.3[20:18]"` (word 3 of eFuse block `blk1`, bits 20 down to 18),
//! `"0x3ff44038[5]"` (one bit of a register), `"blk1.0"` (a whole word), or a list of these, the
//! least significant run first.

use serde::Deserialize;
use std::collections::BTreeMap;

/// One run of bits or several, not yet looked up.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Runs {
    One(String),
    Many(Vec<String>),
}

/// A run of bits in a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    pub addr: u32,
    pub lsb: u8,
    pub width: u8,
}

/// Start address and number of words of each eFuse block.
pub type Blocks = BTreeMap<String, (u32, u32)>;

impl Runs {
    /// The runs with their addresses, or what is wrong with the first bad one.
    pub fn parse(&self, blocks: &Blocks) -> Result<Vec<Bits>, String> {
        let texts = match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        };
        if texts.is_empty() {
            return Err("no bits".into());
        }
        texts.iter().map(|text| parse(text, blocks)).collect()
    }

    /// As `parse`, where only one run is allowed.
    pub fn parse_one(&self, blocks: &Blocks) -> Result<Bits, String> {
        match self.parse(blocks)?.as_slice() {
            [bits] => Ok(*bits),
            runs => Err(format!(
                "{} runs of bits where there must be one",
                runs.len()
            )),
        }
    }
}

fn parse(text: &str, blocks: &Blocks) -> Result<Bits, String> {
    let bad = |what: &str| format!("\"{text}\": {what}");
    let (place, range) = match text.split_once('[') {
        None => (text, None),
        Some((place, rest)) => (
            place,
            Some(
                rest.strip_suffix(']')
                    .ok_or_else(|| bad("`]` is missing"))?,
            ),
        ),
    };
    let addr = if let Some(hex) = place.strip_prefix("0x") {
        u32::from_str_radix(hex, 16).map_err(|e| bad(&e.to_string()))?
    } else {
        let (block, word) = place
            .split_once('.')
            .ok_or_else(|| bad("neither BLOCK.WORD nor 0xADDRESS"))?;
        let &(start, words) = blocks
            .get(block)
            .ok_or_else(|| bad(&format!("no eFuse block `{block}`")))?;
        let word: u32 = word.parse().map_err(|_| bad("the word is not a number"))?;
        if word >= words {
            return Err(bad(&format!("`{block}` has {words} words")));
        }
        start + 4 * word
    };
    if !addr.is_multiple_of(4) {
        return Err(bad("the address is not a multiple of 4"));
    }
    let (high, low) = match range {
        None => (31, 0),
        Some(range) => {
            let (high, low) = range.split_once(':').unwrap_or((range, range));
            let bit = |text: &str| text.parse::<u8>().map_err(|_| bad("a bit is not a number"));
            (bit(high)?, bit(low)?)
        }
    };
    if high > 31 || low > high {
        return Err(bad("bits are written [HIGH:LOW], 31 at most"));
    }
    Ok(Bits {
        addr,
        lsb: low,
        width: high - low + 1,
    })
}
