use guru_chip::{CHIPS, Revision};
use guru_image::{
    Contents, ExtendedHeader, Extent, Firmware, FlashMode, FlashParameters, Form, Found, Header,
    Image, ImageInfo, Outcome, RamFile, Region, Role, compatibility, extent, hex as intel_hex,
    patch, split,
};

/// A firmware image: it is read, checked and gone through to the end without a panic, and its
/// headers are written as they were read.
pub fn image(bytes: &[u8]) {
    if let Some(header) = bytes.first_chunk()
        && let Ok(header) = Header::parse(header)
    {
        assert_eq!(Header::parse(&header.to_bytes()), Ok(header));
    }
    if let Some(header) = bytes.get(8..).and_then(|rest| rest.first_chunk())
        && let Ok(header) = ExtendedHeader::parse(header)
    {
        assert_eq!(ExtendedHeader::parse(&header.to_bytes()), Ok(header));
    }
    let Ok(contents) = Contents::from_bytes("fuzz", bytes.to_vec()) else {
        return;
    };
    for form in [Form::Short, Form::Extended] {
        let parsed = Image::parse(&contents, form);
        if let Ok(image) = &parsed {
            let _ = image.verify(&contents);
            if let Some(digest) = image.digest() {
                assert!(digest.end <= contents.len());
            }
        }
        let read = |at, buffer: &mut [u8]| contents.read_at(at, buffer);
        if let Ok(Extent::Image(length)) = extent(form, contents.len(), read) {
            assert!(parsed.is_ok() && length <= contents.len());
        }
    }
    for chip in [None, Some(CHIPS[0]), guru_chip::by_id("esp8266")] {
        if let Ok(mut info) = ImageInfo::read(&contents, chip) {
            assert!(info.end <= contents.len());
            if let Some(signature) = &info.signature {
                assert!(signature.range.end <= contents.len());
            }
            for problem in info.problems() {
                assert!(!problem.to_string().is_empty());
            }
            let revision = Some(Revision(101));
            assert!(info.meant_for(&contents, CHIPS[0], revision).is_ok());
        }
    }
    let _ = guru_image::Kind::guess(&contents);
    firmware(&contents);
    for role in [Role::App, Role::PartitionTable, Role::Data] {
        let place = Region {
            name: String::new(),
            range: 0x40..0x1000,
            role,
        };
        for base in [0, 0x40] {
            for piece in split(&contents, base, std::slice::from_ref(&place))
                .into_iter()
                .flatten()
            {
                if let Found::Bytes {
                    contents: found, ..
                } = piece.found
                {
                    assert!(found.len() <= contents.len());
                }
            }
        }
    }
    let Ok(parameters) = FlashParameters::new(&CHIPS[0].flash, Some(FlashMode::Dout), None, None)
    else {
        return;
    };
    for chip in CHIPS {
        let _ = compatibility(&contents, &chip.image, Some(Revision(0)));
        let address = chip.image.bootloader_offset;
        let Ok(patched) = patch(contents.clone(), address, &chip.image, parameters) else {
            continue;
        };
        assert_eq!(patched.contents.len(), contents.len());
        if let Outcome::Set { .. } = patched.outcome {
            let form = Form::of(&chip.image);
            let whole = Image::parse(&patched.contents, form)
                .and_then(|image| image.verify(&patched.contents));
            assert!(whole.is_ok(), "a patched image is no longer valid");
        }
    }
}

/// A file of any form: what it is made of, and the program for RAM in it.
pub(crate) fn firmware(contents: &Contents) {
    if let Ok(firmware) = Firmware::from_contents(contents.clone()) {
        for part in firmware.parts {
            let _ = ImageInfo::read(&part.contents, None);
        }
    }
    for entry in [None, Some(0x4038_0000)] {
        let Ok(file) = RamFile::from_contents(contents.clone(), entry) else {
            continue;
        };
        for chip in [&guru_chip::ESP32, &guru_chip::ESP32C3, &guru_chip::ESP8266] {
            let _ = file.mismatch(&chip.image, None);
            if let Ok(program) = file.program(chip) {
                let bytes: usize = program.segments.iter().map(|one| one.bytes.len()).sum();
                assert!(bytes <= contents.len() as usize);
            }
        }
    }
}

/// Intel HEX: the runs that are found have bytes, are in order and do not touch.
pub fn hex(bytes: &[u8]) {
    if let Ok(contents) = Contents::from_bytes("fuzz", bytes.to_vec()) {
        firmware(&contents);
    }
    let Ok(runs) = intel_hex::parse(bytes) else {
        return;
    };
    let last = runs
        .last()
        .map_or(0, |run| run.address + (run.bytes.len() - 1) as u32);
    let mut writer = intel_hex::Writer::new(Vec::new(), last);
    for run in &runs {
        let _ = writer.write(run.address, &run.bytes);
    }
    let written = writer.finish().unwrap_or_default();
    assert!(intel_hex::parse(&written[..]).is_ok_and(|again| again == runs));
    let mut last_end = None;
    for run in runs {
        assert!(!run.bytes.is_empty());
        let start = u64::from(run.address);
        assert!(last_end.is_none_or(|end| end < start));
        let end = start + run.bytes.len() as u64;
        assert!(end <= 1 << 32);
        last_end = Some(end);
    }
}
