//! Espressif's form of a stub: JSON with Base64, as esptool and npm packages ship it; versions 1 and 2.
//! Plugins (NAND flash), which version 2 may carry, are left out: without them the stub is whole.

use serde::Deserialize;

use crate::{Kind, Segment, Stub, StubError};

#[derive(Debug, Deserialize)]
struct File {
    entry: u32,
    text: String,
    text_start: u32,
    data: Option<String>,
    data_start: Option<u32>,
}

pub(crate) fn parse(file: &str, bytes: &[u8]) -> Result<Stub, StubError> {
    let bad = |reason: String| StubError::new(file, reason);
    let parsed: File = serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
    let segment = |name: &str, text: &str, address| {
        let mut bytes = decode(text).ok_or_else(|| bad(format!("'{name}' is not Base64")))?;
        // Blocks of whole words are what every ROM writes to instruction RAM.
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        Ok(Segment { address, bytes })
    };
    let mut segments = vec![segment("text", &parsed.text, parsed.text_start)?];
    match (&parsed.data, parsed.data_start) {
        (Some(data), Some(address)) => segments.push(segment("data", data, address)?),
        (None, None) => {}
        _ => return Err(bad("'data' and 'data_start' belong together".to_owned())),
    }
    Ok(Stub {
        kind: Kind::Official,
        file: file.to_owned(),
        segments,
        entry: parsed.entry,
    })
}

/// Standard Base64 (RFC 4648, section 4), whole and without white space.
fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let symbols = text.len().checked_sub(padding).filter(|_| padding <= 2)?;
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in text[..symbols].chunks(4) {
        let mut word = 0_u32;
        for symbol in group {
            let value = match symbol {
                b'A'..=b'Z' => symbol - b'A',
                b'a'..=b'z' => symbol - b'a' + 26,
                b'0'..=b'9' => symbol - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            word = word << 6 | u32::from(value);
        }
        let missing = 4 - group.len();
        let whole = (word << (6 * missing)).to_be_bytes();
        bytes.extend_from_slice(&whole[1..4 - missing]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_standards_examples_are_decoded() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYmFy", b"foobar"),
            ("+/+/", &[0xFB, 0xFF, 0xBF]),
        ] {
            assert_eq!(decode(text).as_deref(), Some(bytes), "{text}");
        }
        for text in ["Z", "Zg=", "Z===", "Zg==Zg==", "Zm9\n", "===="] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn plugins_are_left_out_and_text_is_filled_up_to_words() {
        let json = br#"{"entry": 4, "text": "Zm9vYmE=", "text_start": 0, "bss_start": 64,
            "plugins": {"nand": {"text": "Zg==", "handlers": {"0xD5": 0}}}, "plugin_table_offset": 4}"#;
        let stub = parse("esp32.json", json).unwrap();
        assert_eq!(stub.segments.len(), 1);
        assert_eq!(stub.segments[0].bytes, b"fooba\0\0\0");
    }

    #[test]
    fn what_is_no_stub_is_refused_by_name() {
        for json in [
            &b""[..],
            b"{}",
            br#"{"entry": -1, "text": "", "text_start": 0}"#,
            br#"{"entry": 0, "text": "?", "text_start": 0}"#,
            br#"{"entry": 0, "text": "", "text_start": 0, "data": ""}"#,
        ] {
            let error = parse("esp32.json", json).unwrap_err();
            assert!(error.to_string().starts_with("esp32.json: "), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, text: String) {
            let _ = parse("x", &bytes);
            let _ = decode(&text);
        }
    }
}
