use guru_link::rfc2217::{Notice, Parser, Request, Server, TelnetEvent};

/// An RFC 2217 stream, seen by a client and by a server: the first byte decides in pieces of
/// which size the rest arrives. The pieces make no difference, and what is decoded is encoded to
/// what decodes to it.
pub fn rfc2217(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else {
        return;
    };
    let mut parser = Parser::default();
    let mut server = Server::new(115_200);
    let mut events = Vec::new();
    for piece in bytes.chunks(usize::from(*size).max(1)) {
        join(&mut events, parser.push(piece));
        let _ = server.receive(piece);
    }
    let mut whole = Vec::new();
    join(&mut whole, Parser::default().push(bytes));
    assert_eq!(events, whole);
    let _ = server.take_output();

    for event in events {
        let TelnetEvent::Subnegotiation(_, parameters) = event else {
            continue;
        };
        if let Some(request) = Request::decode(&parameters) {
            let mut encoded = Vec::new();
            request.encode(&mut encoded);
            assert_eq!(sole(&encoded, Request::decode), Some(request));
        }
        if let Some(notice) = Notice::decode(&parameters) {
            let mut encoded = Vec::new();
            notice.encode(&mut encoded);
            assert_eq!(sole(&encoded, Notice::decode), Some(notice));
        }
    }
}

/// Appends events; data that was cut by the pieces is put together again.
fn join(events: &mut Vec<TelnetEvent>, more: Vec<TelnetEvent>) {
    for event in more {
        match (events.last_mut(), event) {
            (Some(TelnetEvent::Data(last)), TelnetEvent::Data(data)) => last.extend(data),
            (_, event) => events.push(event),
        }
    }
}

/// The only subnegotiation in `encoded`, decoded.
fn sole<T>(encoded: &[u8], decode: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    match Parser::default().push(encoded).as_slice() {
        [TelnetEvent::Subnegotiation(_, parameters)] => decode(parameters),
        _ => None,
    }
}
