use guru_wire::slip::{Decoder, Event, encode};
use guru_wire::{Command, Response, SecurityInfo, parse_md5};

const MAX_PACKET: usize = 1024;

/// SLIP: the first byte decides in pieces of which size the rest arrives. Nothing is kept beyond
/// the bound, every byte is taken, and a packet survives being framed again.
pub fn slip(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else {
        return;
    };
    let mut decoder = Decoder::new(MAX_PACKET);
    for mut piece in bytes.chunks(usize::from(*piece).max(1)) {
        while !piece.is_empty() {
            let (taken, event) = decoder.push(piece);
            assert!(
                taken > 0 || event.is_some(),
                "the decoder makes no progress"
            );
            piece = &piece[taken..];
            if let Some(Event::Packet(packet)) = event {
                assert!(!packet.is_empty() && packet.len() <= MAX_PACKET);
                let framed = encode(&packet);
                let (taken, again) = Decoder::new(MAX_PACKET).push(&framed);
                assert_eq!((taken, again), (framed.len(), Some(Event::Packet(packet))));
            }
        }
    }
}

/// Answers of a chip: the first two bytes are the length of data that the command would answer.
pub fn response(bytes: &[u8]) {
    let Some((length, packet)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let Ok(response) = Response::decode(packet) else {
        return;
    };
    assert_eq!(response.encode(), packet);
    let length = usize::from(u16::from_le_bytes(*length));
    if let Ok(Ok(())) = response.status(length) {
        assert!(response.body.len() >= length + 2);
        let _ = parse_md5(&response.body[..length]);
    }
}

/// Requests of a client, as the simulator reads them.
pub fn command(bytes: &[u8]) {
    if let Ok(command) = Command::decode(bytes) {
        let encoded = command.encode();
        assert_eq!(Command::decode(&encoded), Ok(command));
    }
}

/// The data of an answer to GET_SECURITY_INFO.
pub fn security_info(bytes: &[u8]) {
    if let Ok(info) = SecurityInfo::decode(bytes) {
        let encoded = info.encode();
        assert_eq!(SecurityInfo::decode(&encoded), Ok(info));
    }
}
