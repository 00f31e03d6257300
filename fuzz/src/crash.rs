use guru_crash::{Event, Parser};

/// A log: its events do not depend on how the bytes come, and there are not more of them than bytes.
pub fn panic(bytes: &[u8]) {
    let mut whole = Parser::new(&(), None);
    let mut events = whole.push(bytes);
    events.extend(whole.finish());
    assert!(events.len() <= bytes.len());

    let mut pieces = Parser::new(&(), None);
    let mut others: Vec<Event> = bytes
        .chunks(7)
        .flat_map(|piece| pieces.push(piece))
        .collect();
    others.extend(pieces.finish());
    assert_eq!(events, others);
}
