use guru_chip::{Chip, Revision, SecurityInfoForm};
use guru_wire::{SecurityFlags, SecurityInfo};

use crate::board::Board;

/// Bit of the flags: a certificate needs a nonce.
const CERTIFICATE_NONCE: u32 = 1 << 12;

/// The answer to GET_SECURITY_INFO, from the chip's eFuse words. `None`: the ROM does not know the
/// command.
pub(crate) fn security_info(board: &Board, revision: Revision) -> Option<Vec<u8>> {
    let chip: &Chip = board.chip;
    let with_chip = match chip.rom.security_info {
        SecurityInfoForm::None => return None,
        SecurityInfoForm::Short => false,
        SecurityInfoForm::Long => true,
    };
    let security = &chip.security;
    let fuses = board.fuses(revision);
    let mut flags = fuses.info_flags();
    if fuses.secure_boot() {
        flags |= SecurityFlags::SECURE_BOOT;
    }
    if fuses.secure_download() {
        flags |= SecurityFlags::SECURE_DOWNLOAD;
    }
    let certificate = chip.efuse.certificate.as_ref();
    if fuses.takes_certificates() && certificate.is_some_and(|rules| fuses.value(rules.nonce) != 0)
    {
        flags |= CERTIFICATE_NONCE;
    }
    let mut key_purposes = [0; 7];
    // The last entry belongs to no key block.
    key_purposes[6] = security.no_purpose;
    for (purpose, bits) in key_purposes.iter_mut().zip(security.key_purposes) {
        *purpose = board.words.get(*bits) as u8;
    }
    let info = SecurityInfo {
        flags: SecurityFlags(flags),
        crypt_count: security
            .crypt_count
            .map_or(0, |bits| board.words.get(bits) as u8),
        key_purposes,
        chip: with_chip.then(|| {
            let chip_id = chip.image.chip_id.unwrap_or(0);
            let version = chip.rom.banner(revision).map_or(0, |banner| banner.version);
            (board.chip_id.unwrap_or(u32::from(chip_id)), version)
        }),
    };
    Some(info.encode())
}
