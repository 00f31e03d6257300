use guru_chip::InflateRule;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_PARSE_ZLIB_HEADER,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::driver::{Driver, Fail};

/// The inflater writes to flash through a window of this size.
const WINDOW: usize = 0x8000;

/// State of a compressed write: the inflater, its window, and where the window goes.
pub(super) struct Inflate {
    inflater: Box<DecompressorOxide>,
    window: Box<[u8; WINDOW]>,
    /// How far the window is filled.
    filled: usize,
    /// Where in flash the window begins.
    offset: u32,
}

/// Why a block of a stream was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InflateFail {
    /// The inflater's negative status, without its sign: 1 failed, 2 Adler-32, 3 parameter.
    Status(u8),
    /// The flash does not end its work.
    Hangs,
}

impl Inflate {
    pub fn new() -> Self {
        Self {
            inflater: Box::default(),
            window: Box::new([0; WINDOW]),
            filled: 0,
            offset: 0,
        }
    }

    /// Starts a stream that goes to `offset`. The window keeps its old contents.
    pub fn begin(&mut self, offset: u32) {
        self.inflater.init();
        self.filled = 0;
        self.offset = offset;
    }

    /// Takes a block of the stream; the last one flushes the window. Returns the number of bytes
    /// that came out of the inflater.
    pub fn push(
        &mut self,
        driver: &mut Driver<'_>,
        data: &[u8],
        last: bool,
        rule: InflateRule,
    ) -> Result<u64, InflateFail> {
        let mut flags = TINFL_FLAG_PARSE_ZLIB_HEADER;
        if !last {
            flags |= TINFL_FLAG_HAS_MORE_INPUT;
        }
        let mut rest = data;
        let mut produced = 0;
        loop {
            let (status, taken, made) = decompress(
                &mut self.inflater,
                rest,
                &mut self.window[..],
                self.filled,
                flags,
            );
            match status {
                TINFLStatus::Failed => return Err(InflateFail::Status(1)),
                TINFLStatus::Adler32Mismatch => return Err(InflateFail::Status(2)),
                TINFLStatus::BadParam => return Err(InflateFail::Status(3)),
                // The ROM's inflater reads zeros behind the end of the last block. What it makes
                // of them fails sooner or later; which way is not modelled.
                TINFLStatus::FailedCannotMakeProgress => return Err(InflateFail::Status(1)),
                TINFLStatus::Done | TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput => {}
            }
            rest = &rest[taken..];
            self.filled += made;
            produced += made as u64;
            if self.filled == WINDOW {
                // Errors of the flash go unnoticed.
                hangs(driver.write(self.offset, &self.window[..]))?;
                self.offset = self.offset.wrapping_add(WINDOW as u32);
                self.filled = 0;
            }
            // Bytes behind the end of the stream are not looked at; the ROM would turn in circles.
            let stuck = taken == 0 && made == 0;
            if rest.is_empty() || stuck || status == TINFLStatus::Done {
                break;
            }
        }
        if last {
            let len = match rule {
                InflateRule::Exact => self.filled.next_multiple_of(4),
                InflateRule::WholeWindows => WINDOW,
            };
            hangs(driver.write(self.offset, &self.window[..len]))?;
        }
        Ok(produced)
    }
}

fn hangs(result: Result<(), Fail>) -> Result<(), InflateFail> {
    match result {
        Err(Fail::Hangs) => Err(InflateFail::Hangs),
        _ => Ok(()),
    }
}
