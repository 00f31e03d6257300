//! What is typed on the command line, parsed: numbers, addresses, sizes, pins.

use std::num::IntErrorKind;
use std::time::Duration;

use guru_loader::{FlashSizeOption, SpiConnection};

/// A number of flash bytes: so many, or all that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// This many bytes.
    Bytes(u32),
    /// To the end of the flash.
    All,
}

/// Reads a number: decimal, or with `0x`, `0o` or `0b` before it; `_` may stand between digits.
///
/// # Errors
/// What is wrong, and how a number is written.
pub fn number(text: &str) -> Result<u32, String> {
    let trimmed = text.trim();
    let (digits, radix) = match trimmed.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (&trimmed[2..], 16),
        Some("0o") => (&trimmed[2..], 8),
        Some("0b") => (&trimmed[2..], 2),
        _ => (trimmed, 10),
    };
    let no_number = || {
        format!("'{text}' is not a number; write it as 4096, 0x1000, 0o10000 or 0b1000000000000")
    };
    // As in Python, underscores stand between digits (or behind the prefix), one at a time.
    if digits.ends_with('_') || digits.contains("__") || (radix == 10 && digits.starts_with('_')) {
        return Err(no_number());
    }
    let digits = digits.replace('_', "");
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(no_number());
    }
    // `010` is octal for some and decimal for others.
    if radix == 10 && digits.len() > 1 && digits.starts_with('0') && digits.contains(|c| c != '0') {
        return Err(format!(
            "'{text}' starts with 0; write 0o{rest} for an octal number or {rest} for a decimal one",
            rest = digits.trim_start_matches('0')
        ));
    }
    u32::from_str_radix(&digits, radix).map_err(|error| match error.kind() {
        IntErrorKind::PosOverflow => format!("'{text}' is too large; the limit is 0xffffffff"),
        _ => no_number(),
    })
}

/// Reads the address of a word of memory: a number that is a multiple of 4.
///
/// # Errors
/// What is wrong, and what would be right.
pub fn word_address(text: &str) -> Result<u32, String> {
    let address = number(text)?;
    if address.is_multiple_of(4) {
        return Ok(address);
    }
    Err(format!(
        "'{text}' is not a multiple of 4, as an address of memory must be; 0x{:08x} is the word \
         that holds it",
        address & !3
    ))
}

/// Reads a number of bytes that is a multiple of 4, with `k` or `M` behind it or not.
///
/// # Errors
/// What is wrong, and what would be right.
pub fn words_size(text: &str) -> Result<u32, String> {
    let size = scaled(text)?;
    if size > 0 && size.is_multiple_of(4) {
        return Ok(size);
    }
    Err(format!(
        "'{text}' is not a multiple of 4, since memory is read by words; {} would be",
        size.checked_next_multiple_of(4).unwrap_or(size & !3).max(4)
    ))
}

/// Reads a number of seconds, such as `2` or `0.5`.
///
/// # Errors
/// What is wrong, and what would be right.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (0.0..=1e6).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("'{text}' is no number of seconds; write 10 or 0.5"))
}

/// Reads a number that may have `k` (1024) or `M` (1024 * 1024) behind it.
///
/// # Errors
/// What is wrong, and how a number is written.
pub fn scaled(text: &str) -> Result<u32, String> {
    let (digits, unit) = match text.as_bytes() {
        [_, .., b'k'] => (&text[..text.len() - 1], 1 << 10),
        [_, .., b'M'] => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    number(digits)
        .map_err(|error| {
            if error.contains("is not a number") {
                format!("'{text}' is not a number; write it as 4096, 0x1000, 4k or 1M")
            } else {
                error
            }
        })?
        .checked_mul(unit)
        .ok_or_else(|| format!("'{text}' is too large; the limit is 0xffffffff"))
}

/// Reads a size: a number as [`scaled`] takes it, or `all`.
///
/// # Errors
/// What is wrong, and how a size is written.
pub fn size(text: &str) -> Result<Size, String> {
    if text.eq_ignore_ascii_case("all") {
        return Ok(Size::All);
    }
    scaled(text).map(Size::Bytes).map_err(|error| {
        if error.contains("is not a number") {
            format!("'{text}' is not a size; write it as 4096, 0x1000, 4k, 1M or ALL")
        } else {
            error
        }
    })
}

/// Reads the pins of the flash: `SPI`, `HSPI`, or `CLK,Q,D,HD,CS`.
///
/// # Errors
/// What is wrong, and how pins are written.
pub fn spi_connection(text: &str) -> Result<SpiConnection, String> {
    let error = || {
        format!(
            "'{text}' does not say where the flash is; write SPI, HSPI or five GPIO numbers as \
             CLK,Q,D,HD,CS"
        )
    };
    if text.eq_ignore_ascii_case("SPI") {
        return Ok(SpiConnection::Default);
    }
    if text.eq_ignore_ascii_case("HSPI") {
        return Ok(SpiConnection::Hspi);
    }
    let pins: Vec<u8> = text
        .split(',')
        .map(|pin| number(pin).ok().and_then(|pin| u8::try_from(pin).ok()))
        .collect::<Option<_>>()
        .ok_or_else(error)?;
    let [clk, q, d, hd, cs] = pins[..] else {
        return Err(error());
    };
    Ok(SpiConnection::Pins { clk, q, d, hd, cs })
}

/// Sizes of flash that can be named, as image headers know them.
pub const FLASH_SIZES: [&str; 12] = [
    "256KB", "512KB", "1MB", "2MB", "2MB-c1", "4MB", "4MB-c1", "8MB", "16MB", "32MB", "64MB",
    "128MB",
];

/// Clocks of flash that can be named, in MHz.
pub const FLASH_FREQUENCIES: [&str; 13] = [
    "80m", "64m", "60m", "48m", "40m", "32m", "30m", "26m", "24m", "20m", "16m", "15m", "12m",
];

/// Modes of flash that can be named.
pub const FLASH_MODES: [&str; 4] = ["qio", "qout", "dio", "dout"];

/// Reads a flash size: `keep`, `detect`, or a size such as `4MB`.
///
/// # Errors
/// What is wrong, and what sizes there are.
pub fn flash_size(text: &str) -> Result<FlashSizeOption, String> {
    match text {
        "keep" => Ok(FlashSizeOption::Keep),
        "detect" => Ok(FlashSizeOption::Detect),
        size if FLASH_SIZES.contains(&size) => Ok(FlashSizeOption::Set(size.to_owned())),
        other => Err(format!(
            "'{other}' is no flash size; write keep, detect, {}",
            FLASH_SIZES.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_in_every_base() {
        for (text, value) in [
            ("0", 0),
            ("00", 0),
            ("4096", 4096),
            ("0x1000", 0x1000),
            ("0XfF", 0xFF),
            ("0o17", 15),
            ("0b101", 5),
            ("1_000", 1000),
            ("0x_ff", 0xFF),
            (" 12 ", 12),
            ("0xffffffff", u32::MAX),
        ] {
            assert_eq!(number(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_shown_and_what_would_be_right_is_said() {
        for text in [
            "", "x", "0x", "-1", "+1", "1.5", "1__0", "_1", "1_", "0xg", "4q", "é", "0é",
        ] {
            let error = number(text).unwrap_err();
            assert!(error.contains(&format!("'{text}'")), "{error}");
            assert!(error.contains("0x1000"), "{error}");
        }
        assert!(number("010").unwrap_err().contains("0o10"));
        assert!(number("0x100000000").unwrap_err().contains("too large"));
    }

    #[test]
    fn sizes_know_k_and_m_and_all() {
        assert_eq!(size("4k"), Ok(Size::Bytes(4096)));
        assert_eq!(size("0x10k"), Ok(Size::Bytes(0x4000)));
        assert_eq!(size("2M"), Ok(Size::Bytes(2 << 20)));
        assert_eq!(size("ALL"), Ok(Size::All));
        assert_eq!(size("all"), Ok(Size::All));
        assert!(size("4096M").unwrap_err().contains("too large"));
        assert!(size("k").unwrap_err().contains("ALL"));
        assert!(size("4K").unwrap_err().contains("4k"));
    }

    #[test]
    fn memory_is_addressed_by_words() {
        assert_eq!(word_address("0x60000078"), Ok(0x6000_0078));
        assert!(
            word_address("0x6000007a")
                .unwrap_err()
                .contains("0x60000078")
        );
        assert!(
            word_address("0x100000000")
                .unwrap_err()
                .contains("0xffffffff")
        );
        assert_eq!(words_size("1k"), Ok(1024));
        assert!(words_size("6").unwrap_err().contains("8 would be"));
        assert!(words_size("0").is_err());
        assert!(words_size("0xffffffff").is_err());
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["", "x", "-1", "inf", "nan", "1e9"] {
            assert!(seconds(text).unwrap_err().contains("0.5"), "{text}");
        }
    }

    #[test]
    fn pins_are_five_numbers_or_a_name() {
        assert_eq!(spi_connection("hspi"), Ok(SpiConnection::Hspi));
        assert_eq!(
            spi_connection("6,0x7,8,9,11"),
            Ok(SpiConnection::Pins {
                clk: 6,
                q: 7,
                d: 8,
                hd: 9,
                cs: 11
            })
        );
        for text in ["1,2", "1,2,3,4,5,6", "1,2,3,4,x", "1,2,3,4,256", "", "pins"] {
            assert!(spi_connection(text).unwrap_err().contains("CLK,Q,D,HD,CS"));
        }
    }

    proptest! {
        #[test]
        fn a_number_reads_back_in_every_base(value: u32) {
            prop_assert_eq!(number(&value.to_string()), Ok(value));
            prop_assert_eq!(number(&format!("{value:#x}")), Ok(value));
            prop_assert_eq!(number(&format!("{value:#o}")), Ok(value));
            prop_assert_eq!(number(&format!("{value:#b}")), Ok(value));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text: String) {
            let _ = (number(&text), scaled(&text), size(&text), spi_connection(&text));
        }
    }
}
