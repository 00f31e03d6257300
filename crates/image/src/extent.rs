//! How much of its place in flash an image takes, with nothing read but its headers.

use crate::header::{ExtendedHeader, HEADER_LEN, Header};
use crate::image::{Form, SEGMENT_HEADER_LEN};

/// Length in bytes of the appended digest.
const DIGEST_LEN: u64 = 32;

/// What is in a place that is meant for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Nothing: it begins with erased flash.
    Erased,
    /// An image of this length in bytes.
    Image(u32),
    /// What begins as an image, and by its headers ends behind the place.
    TooLong(u64),
    /// Something else.
    Other,
}

/// Goes through the headers of what is in a place of `limit` bytes; `read` fills a buffer from an
/// offset in it.
///
/// # Errors
///
/// What `read` says.
pub fn extent<E>(
    form: Form,
    limit: u32,
    mut read: impl FnMut(u32, &mut [u8]) -> Result<(), E>,
) -> Result<Extent, E> {
    let limit = u64::from(limit);
    let headers = match form {
        Form::Short => HEADER_LEN,
        Form::Extended => HEADER_LEN + ExtendedHeader::LEN,
    };
    let mut bytes = vec![0; headers];
    if headers as u64 > limit {
        return Ok(Extent::Other);
    }
    read(0, &mut bytes)?;
    if bytes.iter().all(|byte| *byte == 0xFF) {
        return Ok(Extent::Erased);
    }
    let header = bytes.first_chunk().map(Header::parse);
    let Some(Ok(header)) = header else {
        return Ok(Extent::Other);
    };
    let extended = bytes.get(HEADER_LEN..).and_then(|rest| rest.first_chunk());
    let extended = match extended.map(ExtendedHeader::parse) {
        Some(Err(_)) => return Ok(Extent::Other),
        Some(Ok(extended)) => Some(extended),
        None => None,
    };
    let mut end = headers as u64;
    for _ in 0..header.segments {
        let mut segment = [0; SEGMENT_HEADER_LEN as usize];
        let next = end + u64::from(SEGMENT_HEADER_LEN);
        let Some(at) = u32::try_from(end).ok().filter(|_| next <= limit) else {
            return Ok(Extent::TooLong(next));
        };
        read(at, &mut segment)?;
        let [.., a, b, c, d] = segment;
        end = next + u64::from(u32::from_le_bytes([a, b, c, d]));
    }
    // The checksum is the last byte of a unit of 16.
    end = (end | 0xF) + 1;
    if extended.is_some_and(|extended| extended.hash_appended) {
        end += DIGEST_LEN;
    }
    Ok(match u32::try_from(end) {
        Ok(length) if end <= limit => Extent::Image(length),
        _ => Extent::TooLong(end),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Contents;
    use crate::image::Image;

    fn image(segments: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0xE9, segments.len() as u8, 0, 0, 0, 0, 0, 0x40];
        bytes.extend([0; 15]);
        bytes.push(1);
        for length in segments {
            bytes.extend(0x4000_0000_u32.to_le_bytes());
            bytes.extend(length.to_le_bytes());
            bytes.resize(bytes.len() + *length as usize, 0);
        }
        bytes.resize((bytes.len() | 0xF) + 1 + 32, 0);
        bytes
    }

    fn of(bytes: &[u8], limit: u32) -> Extent {
        let read = |at: u32, buffer: &mut [u8]| {
            let at = at as usize;
            buffer.copy_from_slice(bytes.get(at..at + buffer.len()).ok_or("beyond")?);
            Ok::<_, &str>(())
        };
        extent(Form::Extended, limit, read).expect("it stays inside")
    }

    #[test]
    fn an_image_ends_where_its_parts_do() {
        for segments in [&[][..], &[4], &[100, 7], &[16; 16]] {
            let bytes = image(segments);
            let contents = Contents::from_bytes("i", bytes.clone()).expect("it is small");
            assert!(Image::parse(&contents, Form::Extended).is_ok());
            let length = bytes.len() as u32;
            assert_eq!(of(&bytes, length), Extent::Image(length), "{segments:?}");
            assert_eq!(of(&bytes, length - 1), Extent::TooLong(length.into()));
        }
    }

    #[test]
    fn a_header_that_lies_is_not_followed_beyond_the_place() {
        let mut bytes = image(&[4, 4]);
        bytes[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(of(&bytes, 0x1000), Extent::TooLong(_)));
    }

    #[test]
    fn erased_flash_and_other_things_are_no_images() {
        assert_eq!(of(&[0xFF; 64], 64), Extent::Erased);
        assert_eq!(of(&[0; 64], 64), Extent::Other);
        assert_eq!(of(&[0xE9; 64], 64), Extent::Other);
        assert_eq!(of(&image(&[4]), 20), Extent::Other);
    }
}
