//! A board as it comes out of a seed.

use guru_chip::{CHIPS, Chip, Crystal};
use guru_sim::fault::{FaultSpec, LineFault, LineFaultKind};
use guru_sim::flash::{Part, parts};
use guru_sim::{SimOptions, UsbMode};
use guru_testkit::Random;

/// What is burnt into the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As it comes.
    Open,
    /// Secure Download Mode.
    SecureDownload,
    /// Flash encryption, with a key, and the loader may encrypt.
    Development,
    /// Flash encryption, and the loader may not.
    Release,
    /// Secure boot.
    SecureBoot,
}

/// A chip, its flash, how it is reached, and what goes wrong.
#[derive(Debug, Clone)]
pub struct Board {
    pub chip: &'static Chip,
    pub part: &'static Part,
    pub state: State,
    pub faults: FaultSpec,
    /// The whole of it, faults included, as `sim://` takes it.
    pub address: String,
    /// The same without faults.
    pub flawless: String,
}

impl Board {
    /// The chips take turns.
    pub fn random(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let chip = CHIPS[(seed % CHIPS.len() as u64) as usize];
        let mut part = part(&mut random);
        let mut query = Vec::new();
        query.extend(usb(chip, &mut random));
        if random.below(4) == 0 {
            query.push(format!("latency={}ms", random.pick(&[0, 4, 16])));
        }
        if random.below(4) == 0 {
            query.push("boot=app".to_owned());
        }
        if let Crystal::Estimated { choices, .. } = chip.crystal
            && random.below(4) == 0
        {
            query.push(format!("crystal={}", random.pick(choices)));
        }
        let (state, words) = state(chip, &mut random);
        query.extend(words);
        // Its size must be told, and what is smaller cannot be.
        if state == State::SecureDownload && part.size < 1 << 20 {
            part = Part::of_size(4 << 20).unwrap_or(part);
        }
        query.push(format!("part={}", part.name));
        let flawless = format!("sim://{}?{}", chip.id, query.join("&"));
        // What contradicts itself, such as USB that the state switches off, comes in its plainest form.
        let flawless = match flawless.parse::<SimOptions>() {
            Ok(_) => flawless,
            Err(_) => format!("sim://{}?part={}", chip.id, part.name),
        };
        let state = if flawless.contains("set.") || flawless.contains("secure") {
            state
        } else {
            State::Open
        };
        let (address, faults) = match faults(part, &mut random) {
            Some(text) => {
                let coded = text.replace('%', "%25").replace('+', "%2B");
                let faults = text.parse().unwrap_or_default();
                (format!("{flawless}&fault={coded}"), faults)
            }
            None => (flawless.clone(), FaultSpec::default()),
        };
        Self {
            chip,
            part,
            state,
            faults,
            address,
            flawless,
        }
    }

    /// Requests may arrive as others.
    pub fn damages_requests(&self) -> bool {
        damages(&self.faults.tx)
    }

    /// Answers may arrive as others.
    pub fn damages_answers(&self) -> bool {
        damages(&self.faults.rx)
    }

    /// Nothing but time goes wrong.
    pub fn is_sound(&self) -> bool {
        let faults = &self.faults;
        !self.damages_requests()
            && !self.damages_answers()
            && !self.has_bad_flash()
            && faults.disconnects.is_empty()
            && !self.loses_supply()
    }

    /// The flash does not do what it is told.
    pub fn has_bad_flash(&self) -> bool {
        let faults = &self.faults;
        faults.no_flash || faults.stuck_flash.is_some() || !faults.stuck_bits.is_empty()
    }

    /// The chip goes off at some moment.
    pub fn loses_supply(&self) -> bool {
        let faults = &self.faults;
        faults.power_loss_erase.is_some()
            || faults.power_loss_program.is_some()
            || faults.disconnects.iter().any(|lost| lost.supply)
    }
}

fn damages(line: &[LineFault]) -> bool {
    line.iter()
        .any(|fault| !matches!(fault.kind, LineFaultKind::Delay(_)))
}

/// Mostly a usual size; now and then one beyond addresses of three bytes.
fn part(random: &mut Random) -> &'static Part {
    let limit = if random.below(12) == 0 { 32 } else { 4 };
    let fitting: Vec<_> = parts()
        .iter()
        .filter(|part| part.size <= limit << 20)
        .collect();
    fitting[random.below(fitting.len() as u64) as usize]
}

fn usb(chip: &Chip, random: &mut Random) -> Option<String> {
    let mut modes = vec![UsbMode::Uart, UsbMode::Uart];
    if chip.usb.serial_jtag {
        modes.push(UsbMode::Jtag);
    }
    if chip.usb.otg_product.is_some() {
        modes.push(UsbMode::Otg);
    }
    match random.pick(&modes) {
        UsbMode::Uart => None,
        UsbMode::Jtag => Some("usb=jtag".to_owned()),
        UsbMode::Otg => Some("usb=otg".to_owned()),
    }
}

fn state(chip: &Chip, random: &mut Random) -> (State, Vec<String>) {
    let has = |name: &&&str| chip.efuse.field(name).is_some();
    let one_of =
        |names: &[&'static str]| names.iter().find(has).map(|name| format!("set.{name}=1"));
    let count = one_of(&["SPI_BOOT_CRYPT_CNT", "FLASH_CRYPT_CNT"]);
    let open = (State::Open, Vec::new());
    match random.below(20) {
        0 | 1
            if chip
                .efuse
                .download
                .as_ref()
                .is_some_and(|rules| rules.secure.is_some()) =>
        {
            (State::SecureDownload, vec!["secure-download".to_owned()])
        }
        2 | 3 => {
            let single = chip.security.xts_keys.iter().find(|set| set.len() == 1);
            match (count, single, has(&&"KEY_PURPOSE_0")) {
                (Some(count), Some(purpose), true) => {
                    let key: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
                    let purpose = format!("set.KEY_PURPOSE_0={}", purpose[0]);
                    let words = vec![count, purpose, format!("set.KEY0={key}")];
                    (State::Development, words)
                }
                _ => open,
            }
        }
        4 => {
            let forbidden = one_of(&["DIS_DOWNLOAD_MANUAL_ENCRYPT", "DISABLE_DL_ENCRYPT"]);
            match (count, forbidden) {
                (Some(count), Some(forbidden)) => (State::Release, vec![count, forbidden]),
                _ => open,
            }
        }
        5 => match one_of(&["SECURE_BOOT_EN", "ABS_DONE_0"]) {
            Some(word) => (State::SecureBoot, vec![word]),
            None => open,
        },
        _ => open,
    }
}

/// None for a third of the boards; else one or two.
fn faults(part: &Part, random: &mut Random) -> Option<String> {
    let count = random.below(3);
    if count == 0 {
        return None;
    }
    let mut items: Vec<String> = (0..count).map(|_| fault(part, random)).collect();
    items.push(format!("seed={}", random.below(1 << 32)));
    Some(items.join(","))
}

fn fault(part: &Part, random: &mut Random) -> String {
    let way = *random.pick(&["tx", "rx", "both"]);
    match random.below(16) {
        0..5 => {
            let kind = random.pick(&["drop", "corrupt", "duplicate"]);
            format!("{kind}:{way}:1/{}", 1500 + random.below(40_000))
        }
        5..7 => {
            let kind = random.pick(&["drop", "corrupt", "duplicate"]);
            format!("{kind}:{way}:@{}", random.below(60_000))
        }
        7 => format!("delay:{way}:1/{}:80ms", 1000 + random.below(9000)),
        8 => format!(
            "delay:{way}:@{}:{}s",
            random.below(60_000),
            random.below(30)
        ),
        9 => format!("disconnect:@{}", random.below(120_000)),
        10 => match random.below(2) {
            0 => format!("disconnect:{}ms", random.below(20_000)),
            _ => format!("unplug:@{}", random.below(120_000)),
        },
        11 => format!("power-loss:erase@{}", 1 + random.below(12)),
        12 => format!("power-loss:program@{}", 1 + random.below(400)),
        13 => format!("slow-flash:x{}", 2 + random.below(6)),
        14 => match random.below(3) {
            0 => "no-flash".to_owned(),
            1 => format!("stuck-flash:@{}", 1 + random.below(300)),
            _ => {
                let at = random.below(u64::from(part.size));
                format!("stuck-bit:{at:#x}.{}", random.below(8))
            }
        },
        _ => format!("drift:{}%", random.below(9) as i64 - 4),
    }
}
