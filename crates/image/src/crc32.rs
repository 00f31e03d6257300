//! The CRC-32 of zlib, which signatures and the ESP8266's images carry.

/// Goes on with a CRC over further bytes; 0 begins one.
pub(crate) fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    let update = |crc: u32, byte: &u8| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    !bytes.iter().fold(!crc, update)
}

/// The form in which the ESP8266's SDK puts it behind its images: inverted when its highest bit is
/// set, one more otherwise.
pub(crate) fn of_sdk(crc: u32) -> u32 {
    if crc >> 31 == 1 { !crc } else { crc + 1 }
}

/// What each byte makes of a CRC of 0.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 0 { 0 } else { 0xEDB8_8320 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogue_comes_out_in_one_piece_and_in_two() {
        assert_eq!(crc32(0, b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(crc32(0, b"1234"), b"56789"), 0xCBF4_3926);
        assert_eq!(crc32(0, b""), 0);
    }

    #[test]
    fn the_check_value_is_found_behind_the_inversion() {
        assert_eq!(of_sdk(crc32(crc32(0, b"12345"), b"6789")), !0xCBF4_3926);
        assert_eq!(of_sdk(crc32(0, b"a")), !0xE8B7_BE43);
        assert_eq!(of_sdk(crc32(0, b"")), 1);
    }
}
