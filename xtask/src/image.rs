//! A flash image of a program that runs from RAM alone.

use guru_chip::Chip;
use guru_image::{Contents, ExtendedHeader, FlashMode, Form, Header, Image};

use crate::Result;
use crate::elf::Program;

/// Start value of the checksum, as in the serial protocol.
const CHECKSUM_SEED: u8 = 0xEF;

/// The image that the chip's ROM loads, with flash parameters that every board can read.
pub fn build(program: &Program, chip: &Chip) -> Result<Vec<u8>> {
    let chip_id = chip
        .image
        .chip_id
        .ok_or("images without an extended header")?;
    let size = chip.flash.sizes.iter().find(|size| size.label == "2MB");
    let frequency = chip
        .flash
        .frequencies
        .iter()
        .find(|(label, _)| *label == "40m");
    let (Some(size), Some((_, frequency))) = (size, frequency) else {
        return Err("the chip's tables have no 2MB or no 40m".into());
    };
    let header = Header {
        segments: program.segments.len().try_into()?,
        flash_mode: FlashMode::Dio.code(),
        flash_size_freq: size.code | frequency,
        entry: program.entry,
    };
    let extended = ExtendedHeader {
        wp_pin: ExtendedHeader::WP_PIN_DISABLED,
        drive: [0; 3],
        chip_id,
        min_rev: 0,
        min_rev_full: 0,
        max_rev_full: u16::MAX,
        reserved: [0; 4],
        hash_appended: true,
    };

    let mut image = [&header.to_bytes()[..], &extended.to_bytes()].concat();
    let mut checksum = CHECKSUM_SEED;
    for (address, bytes) in &program.segments {
        if !address.is_multiple_of(4) || !bytes.len().is_multiple_of(4) {
            return Err("the ROM copies whole words: align the segment".into());
        }
        image.extend(address.to_le_bytes());
        image.extend(u32::try_from(bytes.len())?.to_le_bytes());
        image.extend(bytes);
        checksum = bytes.iter().fold(checksum, |sum, byte| sum ^ byte);
    }
    image.resize(image.len() | 0xF, 0);
    image.push(checksum);
    let contents = Contents::from_bytes("image", image.clone())?;
    image.extend(contents.sha256(0..contents.len())?);

    let contents = Contents::from_bytes("image", image.clone())?;
    Image::parse(&contents, Form::Extended)?.verify(&contents)?;
    Ok(image)
}
