//! MAC address.

use std::fmt;
use std::str::FromStr;

/// A 48-bit MAC address, first byte on the wire first. Prints as `aa:bb:cc:dd:ee:ff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A 64-bit address, first byte first, made of a MAC address with two more bytes in its middle. Prints
/// as `aa:bb:cc:ff:fe:dd:ee:ff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Eui64(pub [u8; 8]);

impl Eui64 {
    /// Puts the extension behind the manufacturer's three bytes.
    #[must_use]
    pub const fn new(mac: MacAddress, extension: [u8; 2]) -> Self {
        let [a, b, c, d, e, f] = mac.0;
        let [x, y] = extension;
        Self([a, b, c, x, y, d, e, f])
    }

    /// The two bytes that were put into the middle.
    #[must_use]
    pub const fn extension(self) -> [u8; 2] {
        let [_, _, _, x, y, _, _, _] = self.0;
        [x, y]
    }
}

impl fmt::Display for Eui64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, x, y, d, e, g] = self.0;
        write!(
            f,
            "{a:02x}:{b:02x}:{c:02x}:{x:02x}:{y:02x}:{d:02x}:{e:02x}:{g:02x}"
        )
    }
}

/// A text is not a MAC address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseMacError(String);

impl fmt::Display for ParseMacError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a MAC address such as 7c:df:a1:00:00:01",
            self.0
        )
    }
}

impl std::error::Error for ParseMacError {}

impl FromStr for MacAddress {
    type Err = ParseMacError;

    /// Six bytes of two hexadecimal digits, with colons or hyphens between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseMacError(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(error)?;
            if part.len() != 2 || part.starts_with('+') {
                return Err(error());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| error())?;
        }
        if parts.next().is_some() {
            Err(error())
        } else {
            Ok(Self(bytes))
        }
    }
}
