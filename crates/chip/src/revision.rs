//! Wafer revision.

use std::fmt;
use std::str::FromStr;

/// Wafer revision of a chip: major * 100 + minor, as image headers count it. Prints as `v0.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u16);

impl Revision {
    /// From its two parts; a minor revision of 100 or more has no form, and is cut to 99.
    #[must_use]
    pub const fn new(major: u8, minor: u8) -> Self {
        Self(major as u16 * 100 + if minor < 100 { minor as u16 } else { 99 })
    }

    /// The part before the point.
    #[must_use]
    pub const fn major(self) -> u16 {
        self.0 / 100
    }

    /// The part behind the point.
    #[must_use]
    pub const fn minor(self) -> u16 {
        self.0 % 100
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}", self.major(), self.minor())
    }
}

/// A text is not a revision such as `0.3` or `v3.1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseRevisionError(String);

impl fmt::Display for ParseRevisionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a chip revision such as 0.3 or 3.1", self.0)
    }
}

impl std::error::Error for ParseRevisionError {}

impl FromStr for Revision {
    type Err = ParseRevisionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseRevisionError(text.to_owned());
        let digits = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let (major, minor) = digits.split_once('.').ok_or_else(error)?;
        let number = |part: &str| {
            let plain = !part.is_empty() && part.len() <= 2 && !part.starts_with('+');
            if plain {
                part.parse::<u8>().map_err(|_| error())
            } else {
                Err(error())
            }
        };
        Ok(Self::new(number(major)?, number(minor)?))
    }
}
