//! The CRC-32 behind ESP8266 images of version 2.

/// The reversed polynomial of CRC-32 (IEEE 802.3).
const POLYNOMIAL: u32 = 0xEDB8_8320;

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = (value >> 1) ^ (POLYNOMIAL * (value & 1));
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};

pub(super) struct Crc(u32);

impl Default for Crc {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

impl Crc {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = TABLE[usize::from(self.0 as u8 ^ byte)] ^ (self.0 >> 8);
        }
    }

    /// As the bootloader of the SDK works it out: inverted when its highest bit is set, one more
    /// otherwise.
    pub(super) fn value(self) -> u32 {
        let crc = !self.0;
        if crc >> 31 == 1 { !crc } else { crc + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_crc_32_is_found_behind_the_inversion() {
        let mut crc = Crc::default();
        crc.update(b"12345");
        crc.update(b"6789");
        assert_eq!(crc.value(), !0xCBF4_3926);
        let mut crc = Crc::default();
        crc.update(b"a");
        assert_eq!(crc.value(), !0xE8B7_BE43);
        // CRC-32 of nothing is 0.
        assert_eq!(Crc::default().value(), 1);
    }
}
