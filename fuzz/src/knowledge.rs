use guru_crash::knowledge::{Knowledge, Place};

/// Entries of the knowledge base, and a search in what was read.
pub fn knowledge(bytes: &[u8]) {
    let Ok(knowledge) = Knowledge::parse(&String::from_utf8_lossy(bytes)) else {
        return;
    };
    for place in Place::ALL {
        for found in knowledge.all(place, bytes) {
            assert!(!found.entry.remedies.is_empty());
            let _ = found.entry.title(&found.fields);
            let _ = knowledge.detail(found.entry, &found.fields, None, None);
        }
    }
    for code in [0, 1, 0x13] {
        let _ = knowledge.reset(code, "", None);
        let _ = knowledge.boot_mode(code, "abcd", guru_chip::by_id("esp32c3"));
    }
}
