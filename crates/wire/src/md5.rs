use thiserror::Error;

/// Why an answer to SPI_FLASH_MD5 holds no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the answer holds no MD5 digest")]
pub struct Md5Error;

/// The digest in an answer to SPI_FLASH_MD5: 32 hexadecimal characters from a ROM, 16 bytes from
/// a stub.
pub fn parse_md5(data: &[u8]) -> Result<[u8; 16], Md5Error> {
    if let Ok(digest) = data.try_into() {
        return Ok(digest);
    }
    if data.len() != 32 {
        return Err(Md5Error);
    }
    let mut digest = [0; 16];
    for (byte, pair) in digest.iter_mut().zip(data.chunks_exact(2)) {
        let nibble = |c: u8| (c as char).to_digit(16).ok_or(Md5Error);
        *byte = (nibble(pair[0])? << 4 | nibble(pair[1])?) as u8;
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_give_the_same_digest() {
        let digest = [
            0xD4, 0x1D, 0x8C, 0xD9, 0x8F, 0, 0xB2, 4, 0xE9, 0x80, 9, 0x98, 0xEC, 0xF8, 0x42, 0x7E,
        ];
        assert_eq!(parse_md5(&digest), Ok(digest));
        assert_eq!(parse_md5(b"d41d8cd98f00b204e9800998ecf8427e"), Ok(digest));
    }

    #[test]
    fn a_damaged_digest_is_refused() {
        assert_eq!(
            parse_md5(b"d41d8cd98f00b204e9800998ecf8427g"),
            Err(Md5Error)
        );
        assert_eq!(parse_md5(b"d41d"), Err(Md5Error));
    }
}
