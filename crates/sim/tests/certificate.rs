//! The secure download certificate of the ESP32-S31, with one that `espsecure` has signed.

mod host;

use std::time::Duration;

use guru_chip::CHIPS;
use guru_sim::Event;
use guru_wire::{Command, ErrorCode, SecurityInfo};
use host::Host;
use sha2::{Digest, Sha256};

/// Opens download mode and JTAG for the usual MAC, counter 0 and the nonce 5A5A...
const CERTIFICATE: &[u8] = include_bytes!("../../../tests/data/sdc_cert.bin");
/// Digest of its key, as it is burnt.
const KEY: &str = "9aa9161c6ab0c0894b325e742af6e46365b00b09c20d06014b27420b387d10ae";
/// MAC of a chip unless it is told another one, in the order of eFuse.
const MAC: [u8; 6] = [0x01, 0x00, 0x00, 0xA1, 0xDF, 0x7C];

fn chip(more: &str) -> String {
    format!("sim://esp32s31?set.RMA_ENA=1&set.KEY_PURPOSE_0=19&set.KEY0={KEY}{more}")
}

/// The answer to the last of the commands that verify a certificate.
fn verify(host: &mut Host, certificate: &[u8]) -> Result<(), ErrorCode> {
    let size = certificate.len() as u32;
    host.ask(&Command::SdcVerifyBegin { nonce: true, size })?;
    host.ask(&Command::SdcVerifyData { data: certificate })?;
    host.ask(&Command::SdcVerifyEnd).map(drop)
}

#[test]
fn without_the_efuse_the_rom_does_not_know_the_commands() {
    for options in ["sim://esp32s31", "sim://esp32s31?set.RMA_ENA=3"] {
        let mut host = Host::synced(options);
        host.send(&Command::SdcInfoBegin { nonce: true });
        let answer = host.answer().expect("an answer");
        // Under the number of the command before.
        assert_eq!(answer.opcode, 0x08);
        assert_eq!(host.split(answer), Err(ErrorCode::INVALID_FORMAT));
    }
    let mut others = CHIPS.iter().filter(|chip| chip.id != "esp32s31");
    assert!(others.all(|chip| !chip.rom.answers(0x1C, false)));
}

#[test]
fn the_security_info_tells_that_there_is_a_certificate() {
    for (more, flags) in [
        ("", 0x800),
        ("&set.RMA_NONCE_ENA=3", 0x1800),
        ("&set.RMA_ENA=2", 0x800),
        ("&set.RMA_ENA=3&set.RMA_NONCE_ENA=1", 0),
    ] {
        let mut host = Host::synced(&chip(more));
        let answer = host.ask(&Command::GetSecurityInfo).expect("it answers");
        let info = SecurityInfo::decode(&answer).expect("it is whole");
        assert_eq!(info.flags.0, flags, "{more}");
    }
}

#[test]
fn the_chip_info_is_made_of_mac_nonce_and_counter() {
    for counter in [0_u8, 1, 3, 7] {
        let more = format!("&set.RMA_SESSION_COUNTER={counter}");
        let mut host = Host::synced(&chip(&more));
        let nonce: Vec<u8> = (0..32).collect();
        host.ask(&Command::SdcInfoBegin { nonce: true }).unwrap();
        host.ask(&Command::SdcInfoData { data: &nonce }).unwrap();
        let answer = host.ask(&Command::SdcInfoEnd).unwrap();
        let mut expected = Sha256::new()
            .chain_update(Sha256::digest(MAC))
            .chain_update(&nonce)
            .chain_update([counter << 4])
            .finalize()
            .to_vec();
        expected.resize(64, 0);
        assert_eq!(answer, expected);
    }
    let mut host = Host::synced(&chip("&secure-download"));
    host.ask(&Command::SdcInfoBegin { nonce: false }).unwrap();
    host.ask(&Command::SdcInfoData { data: &[] }).unwrap();
    assert_eq!(host.ask(&Command::SdcInfoEnd).unwrap().len(), 20);
}

#[test]
fn the_chip_info_wants_a_nonce_of_32_bytes_or_none() {
    let mut host = Host::synced(&chip(""));
    for (nonce, len) in [(true, 31), (true, 0), (true, 33), (false, 32)] {
        host.ask(&Command::SdcInfoBegin { nonce }).unwrap();
        let data = vec![7; len];
        let reply = host.ask(&Command::SdcInfoData { data: &data });
        assert_eq!(reply, Err(ErrorCode::NONCE_LENGTH), "{nonce} {len}");
    }
    let mut host = Host::synced(&chip("&set.RMA_CHIP_INFO_SOURCE=1"));
    host.ask(&Command::SdcInfoBegin { nonce: false }).unwrap();
    let reply = host.ask(&Command::SdcInfoData { data: &[] });
    assert_eq!(reply, Err(ErrorCode::UNDEFINED));
}

#[test]
fn lengths_and_checksums_of_a_certificate_are_looked_at_in_the_roms_order() {
    let mut host = Host::synced(&chip(""));
    for (nonce, size, code) in [
        (true, 0x1801, ErrorCode::CERTIFICATE_RANGE),
        (true, 0x1800, ErrorCode::CERTIFICATE_LENGTH),
        (true, 436, ErrorCode::CERTIFICATE_LENGTH),
        (false, 468, ErrorCode::CERTIFICATE_LENGTH),
        (true, 0, ErrorCode::CERTIFICATE_LENGTH),
    ] {
        let begin = Command::SdcVerifyBegin { nonce, size };
        assert_eq!(host.ask(&begin), Err(code), "{nonce} {size}");
    }
    let (nonce, size) = (true, 468);
    host.ask(&Command::SdcVerifyBegin { nonce, size }).unwrap();
    let short = Command::SdcVerifyData { data: &[0; 436] };
    assert_eq!(host.ask(&short), Err(ErrorCode::CERTIFICATE_LENGTH));
    let mut packet = Command::SdcVerifyData { data: CERTIFICATE }.encode();
    packet[4] ^= 1;
    host.send_packet(&packet);
    let answer = host.answer().expect("an answer");
    assert_eq!(host.split(answer), Err(ErrorCode::CHECKSUM));
    let mut packet = Command::SdcVerifyData { data: &[0; 4] }.encode();
    packet[8] = 5;
    host.send_packet(&packet);
    let answer = host.answer().expect("an answer");
    assert_eq!(host.split(answer), Err(ErrorCode::CERTIFICATE_RANGE));
}

#[test]
fn a_certificate_is_taken_by_the_chip_it_is_for_alone() {
    let mut host = Host::synced(&chip(""));
    assert_eq!(verify(&mut host, CERTIFICATE), Ok(()));
    for (why, options) in [
        ("another MAC", chip("&mac=7c:df:a1:00:00:02")),
        ("another session", chip("&set.RMA_SESSION_COUNTER=1")),
        ("another purpose", chip("&set.KEY_PURPOSE_0=9")),
        (
            "no key",
            "sim://esp32s31?set.RMA_ENA=1&set.KEY_PURPOSE_0=19".to_owned(),
        ),
        ("another source", chip("&set.RMA_CHIP_INFO_SOURCE=1")),
    ] {
        let mut host = Host::synced(&options);
        let reply = verify(&mut host, CERTIFICATE);
        assert_eq!(reply, Err(ErrorCode::UNDEFINED), "{why}");
        // It is not the end of the conversation.
        host.ask(&Command::GetSecurityInfo).unwrap();
    }
    // Header, usage, key, signature, digest, nonce.
    for at in [0, 23, 276, 340, 372, 404, 467] {
        let mut host = Host::synced(&chip(""));
        let mut wrong = CERTIFICATE.to_vec();
        wrong[at] ^= 1;
        let reply = verify(&mut host, &wrong);
        assert_eq!(reply, Err(ErrorCode::UNDEFINED), "byte {at}");
    }
}

#[test]
fn a_certificate_opens_download_mode_until_the_next_reset() {
    let mut host = Host::open(&chip("&set.DIS_DOWNLOAD_MODE=1"));
    host.set_baud(115_200);
    let log = host.listen(Duration::from_millis(500));
    assert!(log.ends_with("waiting for RMA download\r\n"), "{log}");
    host.sync();
    host.ask(&Command::GetSecurityInfo).unwrap();
    host.send(&Command::ReadReg { address: 0 });
    let answer = host.answer().expect("an answer");
    assert_eq!(host.split(answer), Err(ErrorCode::INVALID_FORMAT));
    assert_eq!(verify(&mut host, CERTIFICATE), Ok(()));
    let log = host.listen(Duration::from_millis(500));
    assert!(log.contains("rst:0xc (SW_CPU_RESET)"), "{log}");
    assert!(log.ends_with("waiting for download\r\n"), "{log}");
    host.sync();
    host.attach();
    host.link.take_events();
    host.reset_into_loader();
    let log = host.listen(Duration::from_millis(500));
    assert!(log.ends_with("waiting for RMA download\r\n"), "{log}");
}

#[test]
fn a_certificate_ends_secure_download_mode() {
    let mut host = Host::synced(&chip("&secure-download"));
    assert_eq!(verify(&mut host, CERTIFICATE), Ok(()));
    let log = host.listen(Duration::from_millis(500));
    assert!(log.ends_with("waiting for download\r\n"), "{log}");
    host.sync();
    host.read_reg(0x4000_1000);
}

#[test]
fn jtag_that_belongs_to_hmac_is_not_opened_and_the_rom_never_answers() {
    let mut host = Host::synced(&chip("&set.RE_ENABLE_JTAG_SOURCE=1"));
    let (nonce, size) = (true, 468);
    host.ask(&Command::SdcVerifyBegin { nonce, size }).unwrap();
    host.ask(&Command::SdcVerifyData { data: CERTIFICATE })
        .unwrap();
    host.send(&Command::SdcVerifyEnd);
    assert_eq!(host.collect(Duration::from_secs(5)).len(), 0);
    assert!(host.link.take_events().contains(&Event::Stuck));
}
