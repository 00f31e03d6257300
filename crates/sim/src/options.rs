use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use guru_chip::{CHIPS, Chip, MacAddress, ParseMacError, ParseRevisionError, Revision};
use guru_wire::Grants;
use thiserror::Error;

use crate::fault::{FaultError, FaultSpec, parse_time};
use crate::flash::{Flash, FlashError, Part, parts};
use crate::fuses::Fuses;
use crate::identity::{self, DEFAULT_MAC, IdentityError, Words, parse_number};
use crate::machine::{RomError, RomImage};
use crate::usb::Reenumerate;

/// What a simulated chip is. The text form is
/// `sim://CHIP[?key=value&...]`; keys are those of the fields, with hyphens.
#[derive(Debug, Clone)]
pub struct SimOptions {
    /// Which chip: `CHIP`.
    pub chip: &'static Chip,
    /// `flash=FILE`: the file that holds the flash's contents; without it they end with the
    /// process.
    pub flash: Option<PathBuf>,
    /// `flash-size=4MB`: size of the flash in bytes; 4 MB, or the size of an existing file.
    pub flash_size: Option<u32>,
    /// `part=NAME`: which flash chip, such as `GD25Q32C`; one by Winbond.
    pub part: Option<&'static Part>,
    /// `status=0x0204`: what the flash's status registers hold, register 1 lowest; 0.
    pub status: u32,
    /// `rev=0.4`: wafer revision; the newest one whose boot log is known and whose flash is powered
    /// without ado.
    pub revision: Option<Revision>,
    /// `mac=aa:bb:cc:dd:ee:ff`: the base MAC.
    pub mac: Option<MacAddress>,
    /// `efuse=FILE`: words that override those of the options. A line is an address and a value
    /// in hexadecimal; `#` begins a comment.
    pub efuse: Option<PathBuf>,
    /// `set.NAME=VALUE`: an eFuse field, by its name in ESP-IDF's tables, such as
    /// `set.SECURE_BOOT_EN=1`; a key, such as `set.KEY0=` and 64 hexadecimal digits, or `@` and its
    /// file; or a field of the chip's identity, by its name in the chip's data, such as
    /// `set.package=1`.
    pub fields: Vec<(String, String)>,
    /// `rom=FILE`: an ELF file of the chip's mask ROM, whose functions programs in RAM then call; the
    /// simulator's own.
    pub rom: Option<PathBuf>,
    /// `crystal=26`: crystal in MHz, where boards differ.
    pub crystal: Option<u8>,
    /// `boot=app|panic|stub|download|held`: where the chip is when the port is opened; in its loader.
    pub boot: Boot,
    /// `chip-id=99`: the chip id or magic value by which the loader says which chip it is; the
    /// chip's own.
    pub chip_id: Option<u32>,
    /// `usb=uart|jtag|otg`: how the chip is reached; through an adapter on its UART.
    pub usb: UsbMode,
    /// `reenumerate=same|other|loader`: over the chip's own USB, each reset takes the port away, and
    /// it comes back so; it stays.
    pub reenumerate: Option<Reenumerate>,
    /// `away=500ms`: how long the port is away then.
    pub away: Duration,
    /// `link=FILE`: a symbolic link to the pseudo-terminal, which goes and comes back with it.
    pub link: Option<PathBuf>,
    /// `says=TEXT` or `says=@FILE`: what the application in flash prints when it is started. Its code
    /// is not executed.
    pub says: Vec<u8>,
    /// `latency=1ms`: time of each transfer over USB, in each direction.
    pub latency: Duration,
    /// `fault=SPEC`, as often as wanted: what goes wrong; see [`crate::fault`].
    pub faults: FaultSpec,
    /// `fast`, `real` or `counted`: what time passes.
    pub pace: Option<Pace>,
}

/// Where the chip is when the simulation starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Boot {
    /// In its serial loader, as with the boot button held while it got its supply, and released.
    #[default]
    Download,
    /// In its serial loader, with the boot button held for ever.
    Held,
    /// It boots from flash.
    App,
    /// It boots from flash, and the application panics again and again.
    Panic,
    /// In a flasher stub that an earlier program has left, of which SYNC alone is answered. The next
    /// reset ends it.
    Stub,
}

/// How the chip is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UsbMode {
    /// Through a USB adapter on its UART, with the usual two transistors for reset.
    #[default]
    Uart,
    /// Through its USB-Serial/JTAG peripheral.
    Jtag,
    /// Through the USB-OTG device of its ROM.
    Otg,
}

/// How time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Nobody waits for what the chip does: time jumps.
    Fast,
    /// Everything takes as long as on a board.
    Real,
    /// Time jumps, and stands still while a client thinks: how long it was there is what the line, the
    /// chip and its flash took, whatever this computer does.
    Counted,
}

/// Why a simulation cannot be started.
#[derive(Debug, Error)]
pub enum OptionsError {
    /// The text does not begin with `sim://`.
    #[error("'{0}' is not the address of a simulated chip, such as sim://esp32c3")]
    Scheme(String),
    /// There is no such chip.
    #[error("'{name}' is not a chip that can be simulated; there are {known}")]
    Chip {
        /// The name as given.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// There is no such option.
    #[error(
        "'{0}' is not an option of a simulated chip; there are {known} and set.NAME",
        known = OPTIONS.join(", ")
    )]
    Key(String),
    /// The value of an option cannot be read.
    #[error("{key}={value}: {expected}")]
    Value {
        /// The option.
        key: &'static str,
        /// The value as given.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// A part of the text is not percent-encoded UTF-8.
    #[error("'{0}' is not percent-encoded text")]
    Encoding(String),
    /// No flash chip has this size.
    #[error(
        "there is no flash chip of {0} bytes; sizes are 256KB, 512KB, 1MB, 2MB and so on up to 128MB"
    )]
    FlashSize(u64),
    /// The named flash chip has another size.
    #[error("{part} has {found} bytes, not {wanted}")]
    PartSize {
        /// Name of the part.
        part: &'static str,
        /// Its size in bytes.
        found: u32,
        /// The size asked for, in bytes.
        wanted: u32,
    },
    /// The chip has no such USB device.
    #[error("{0} has no such USB device; usb=uart always works")]
    Usb(&'static str),
    /// eFuse has taken that USB device away.
    #[error("the eFuses that are set leave this {0} no such USB device; usb=uart always works")]
    UsbDisabled(&'static str),
    /// The ROM file cannot be read.
    #[error("ROM file {}", path.display())]
    RomFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The ROM file is not the ROM of this chip.
    #[error("ROM file {}", path.display())]
    Rom {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: RomError,
    },
    /// The tables of this chip show two memories at one address.
    #[error(transparent)]
    Memory(#[from] crate::cpu::MapError),
    /// The eFuse file cannot be read.
    #[error("efuse file {}", path.display())]
    EfuseFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A line of the eFuse file cannot be read.
    #[error("efuse file {}, line {line}: expected an address and a value in hexadecimal", path.display())]
    EfuseLine {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
    },
    /// A fault specification cannot be read.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// The chip cannot be what it was asked to be.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The file behind the flash cannot be used.
    #[error(transparent)]
    Flash(#[from] FlashError),
}

/// What [`SimOptions::set`] knows, besides fields.
const OPTIONS: [&str; 22] = [
    "flash",
    "flash-size",
    "part",
    "status",
    "rev",
    "mac",
    "efuse",
    "rom",
    "crystal",
    "boot",
    "chip-id",
    "usb",
    "reenumerate",
    "away",
    "link",
    "secure-download",
    "says",
    "latency",
    "fault",
    "fast",
    "real",
    "counted",
];

/// Scheme of a simulated chip's address.
pub const SCHEME: &str = "sim://";
const DEFAULT_FLASH: u32 = 4 << 20;
const DEFAULT_AWAY: Duration = Duration::from_millis(500);

impl SimOptions {
    /// A chip as it comes, in its loader.
    pub fn new(chip: &'static Chip) -> Self {
        Self {
            chip,
            flash: None,
            flash_size: None,
            part: None,
            status: 0,
            revision: None,
            mac: None,
            efuse: None,
            rom: None,
            fields: Vec::new(),
            crystal: None,
            boot: Boot::default(),
            chip_id: None,
            usb: UsbMode::default(),
            reenumerate: None,
            away: DEFAULT_AWAY,
            link: None,
            says: Vec::new(),
            latency: Duration::from_millis(1),
            faults: FaultSpec::default(),
            pace: None,
        }
    }

    /// A chip by its name.
    ///
    /// # Errors
    ///
    /// There is no such chip.
    pub fn for_chip(name: &str) -> Result<Self, OptionsError> {
        let chip = guru_chip::by_id(name).ok_or_else(|| OptionsError::Chip {
            name: name.to_owned(),
            known: CHIPS
                .iter()
                .map(|chip| chip.id)
                .collect::<Vec<_>>()
                .join(", "),
        })?;
        Ok(Self::new(chip))
    }

    /// Sets one option by its name in the text form; `value` is empty for one that has none.
    ///
    /// # Errors
    ///
    /// There is no such option, or its value cannot be read.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), OptionsError> {
        let wrong = |key, expected: &dyn std::fmt::Display| OptionsError::Value {
            key,
            value: value.to_owned(),
            expected: expected.to_string(),
        };
        let flag = |key| match value {
            "" | "1" | "true" | "yes" => Ok(true),
            "0" | "false" | "no" => Ok(false),
            _ => Err(wrong(key, &"takes no value")),
        };
        match key {
            "flash" if value.is_empty() => return Err(wrong("flash", &"expected a file")),
            "flash" => self.flash = Some(value.into()),
            "flash-size" => {
                let size = parse_size(value);
                let expected = "expected a size such as 4MB";
                self.flash_size = Some(size.ok_or_else(|| wrong("flash-size", &expected))?);
            }
            "part" => {
                let names: Vec<_> = parts().iter().map(|part| part.name).collect();
                let expected = format!("expected one of {}", names.join(", "));
                self.part = Some(Part::named(value).ok_or_else(|| wrong("part", &expected))?);
            }
            "status" => {
                let expected = "expected a number such as 0x0204, of up to three bytes";
                let status = parse_number(value).filter(|status| *status < 1 << 24);
                self.status = status.ok_or_else(|| wrong("status", &expected))?;
            }
            "rev" => {
                let revision = value.parse();
                self.revision = Some(revision.map_err(|e: ParseRevisionError| wrong("rev", &e))?);
            }
            "mac" => {
                let mac = value.parse();
                self.mac = Some(mac.map_err(|e: ParseMacError| wrong("mac", &e))?);
            }
            "efuse" if value.is_empty() => return Err(wrong("efuse", &"expected a file")),
            "efuse" => self.efuse = Some(value.into()),
            "rom" if value.is_empty() => return Err(wrong("rom", &"expected a file")),
            "rom" => self.rom = Some(value.into()),
            "crystal" => {
                let expected = "expected a frequency in MHz such as 40";
                let mhz = value.strip_suffix("MHz").unwrap_or(value).parse();
                self.crystal = Some(mhz.map_err(|_| wrong("crystal", &expected))?);
            }
            "boot" => {
                self.boot = match value {
                    "app" => Boot::App,
                    "download" => Boot::Download,
                    "held" => Boot::Held,
                    "panic" => Boot::Panic,
                    "stub" => Boot::Stub,
                    _ => {
                        return Err(wrong(
                            "boot",
                            &"expected app, panic, stub, download or held",
                        ));
                    }
                };
            }
            "chip-id" => {
                let expected = "expected a number of 32 bits";
                let id = parse_number(value).ok_or_else(|| wrong("chip-id", &expected))?;
                self.chip_id = Some(id);
            }
            "usb" => {
                self.usb = match value {
                    "uart" => UsbMode::Uart,
                    "jtag" => UsbMode::Jtag,
                    "otg" => UsbMode::Otg,
                    _ => return Err(wrong("usb", &"expected uart, jtag or otg")),
                };
            }
            "secure-download" => {
                if flag("secure-download")? {
                    let name = self.secure_download_field();
                    self.fields.push((name.to_owned(), "1".to_owned()));
                }
            }
            "reenumerate" => {
                self.reenumerate = Some(match value {
                    "same" => Reenumerate::Same,
                    "other" => Reenumerate::Other,
                    "loader" => Reenumerate::Loader,
                    _ => return Err(wrong("reenumerate", &"expected same, other or loader")),
                });
            }
            "away" => {
                let expected = "expected a time such as 500ms, at most 60s";
                let time = parse_time(value).filter(|time| *time <= Duration::from_secs(60));
                self.away = time.ok_or_else(|| wrong("away", &expected))?;
            }
            "link" if value.is_empty() => return Err(wrong("link", &"expected a file")),
            "link" => self.link = Some(value.into()),
            "says" => {
                self.says = match value.strip_prefix('@') {
                    None => value.as_bytes().to_vec(),
                    Some(path) => std::fs::read(path).map_err(|error| wrong("says", &error))?,
                };
            }
            "latency" => {
                let expected = "expected a time such as 1ms, at most 1s";
                let time = parse_time(value).filter(|time| *time <= Duration::from_secs(1));
                self.latency = time.ok_or_else(|| wrong("latency", &expected))?;
            }
            "fault" => self.faults.merge(value.parse()?),
            "fast" => self.pace = flag("fast")?.then_some(Pace::Fast),
            "real" => self.pace = flag("real")?.then_some(Pace::Real),
            "counted" => self.pace = flag("counted")?.then_some(Pace::Counted),
            _ => match key.strip_prefix("set.") {
                Some(field) => self.fields.push((field.to_owned(), value.to_owned())),
                None => return Err(OptionsError::Key(key.to_owned())),
            },
        }
        Ok(())
    }

    /// Sets a field of the chip by its name alone, or an option: what `guru sim --set` is given.
    /// `flash` is what the package holds, and never a file.
    ///
    /// # Errors
    ///
    /// The value of an option cannot be read; those of a field are found by [`check`](Self::check).
    pub fn set_field_or_option(&mut self, name: &str, value: &str) -> Result<(), OptionsError> {
        if name != "flash" && OPTIONS.contains(&name) {
            return self.set(name, value);
        }
        self.fields.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Name of the field that `secure-download` sets.
    fn secure_download_field(&self) -> &'static str {
        let rules = self.chip.efuse.download.as_ref();
        let field = rules.and_then(|rules| rules.secure);
        field.unwrap_or("ENABLE_SECURITY_DOWNLOAD")
    }

    /// Checks what can be checked without touching the files of flash and eFuse.
    ///
    /// # Errors
    ///
    /// The options contradict each other or what the chip can be.
    pub fn check(&self) -> Result<(), OptionsError> {
        let known = match self.usb {
            UsbMode::Uart => true,
            UsbMode::Jtag => self.chip.usb.serial_jtag,
            UsbMode::Otg => self.chip.usb.otg_product.is_some(),
        };
        if !known {
            return Err(OptionsError::Usb(self.chip.name));
        }
        if self.reenumerate.is_some() && self.usb == UsbMode::Uart {
            return Err(OptionsError::Value {
                key: "reenumerate",
                value: "uart".to_owned(),
                expected: "an adapter stays on the bus; it goes with usb=jtag or usb=otg"
                    .to_owned(),
            });
        }
        let words = self.base_words()?;
        let fuses = Fuses {
            chip: self.chip,
            revision: self.revision(),
            words: &words,
            grants: Grants::default(),
        };
        // The ROM makes the device on USB-OTG only for its loader.
        let gone = self.usb == UsbMode::Otg && !fuses.loader_listens(self.usb);
        if gone || self.usb == UsbMode::Jtag && fuses.no_serial_jtag() {
            return Err(OptionsError::UsbDisabled(self.chip.name));
        }
        self.flash_part()?;
        Ok(())
    }

    /// Whether the flash's contents outlive the process. Where they do not, a user should be
    /// told.
    pub fn keeps_contents(&self) -> bool {
        self.flash.is_some()
    }

    /// The revision that the chip has.
    pub fn revision(&self) -> Revision {
        self.revision
            .unwrap_or_else(|| identity::default_revision(self.chip))
    }

    /// The MAC that the chip has.
    pub fn mac(&self) -> MacAddress {
        self.mac.unwrap_or(DEFAULT_MAC)
    }

    /// The crystal that the board has, in MHz.
    pub fn crystal_mhz(&self) -> u8 {
        self.crystal
            .unwrap_or_else(|| identity::default_crystal(self.chip))
    }

    /// The flash chip that the board has.
    ///
    /// # Errors
    ///
    /// No part has the size asked for.
    pub fn flash_part(&self) -> Result<&'static Part, OptionsError> {
        let of_file = || {
            let path = self.flash.as_ref()?;
            Flash::file_size(path)
        };
        let wanted = self.flash_size.map(u64::from);
        if let Some(part) = self.part {
            return match wanted {
                Some(wanted) if wanted != u64::from(part.size) => Err(OptionsError::PartSize {
                    part: part.name,
                    found: part.size,
                    wanted: wanted as u32,
                }),
                _ => Ok(part),
            };
        }
        let size = wanted.or_else(of_file).unwrap_or(u64::from(DEFAULT_FLASH));
        u32::try_from(size)
            .ok()
            .and_then(Part::of_size)
            .ok_or(OptionsError::FlashSize(size))
    }

    pub(crate) fn open_flash(&self) -> Result<Flash, OptionsError> {
        let size = self.flash_part()?.size;
        Ok(match &self.flash {
            Some(path) => Flash::in_file(path, size)?,
            None => Flash::in_memory(size),
        })
    }

    pub(crate) fn rom_image(&self) -> Result<Option<RomImage>, OptionsError> {
        let Some(path) = &self.rom else {
            return Ok(None);
        };
        let elf = std::fs::read(path).map_err(|source| OptionsError::RomFile {
            path: path.clone(),
            source,
        })?;
        let image = RomImage::parse(self.chip, &elf).map_err(|source| OptionsError::Rom {
            path: path.clone(),
            source,
        })?;
        Ok(Some(image))
    }

    pub(crate) fn words(&self) -> Result<Words, OptionsError> {
        let mut words = self.base_words()?;
        let Some(path) = &self.efuse else {
            return Ok(words);
        };
        let text = std::fs::read_to_string(path).map_err(|source| OptionsError::EfuseFile {
            path: path.clone(),
            source,
        })?;
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("").trim();
            if line.is_empty() {
                continue;
            }
            let mut numbers = line.split_whitespace().map(parse_hex);
            match (numbers.next(), numbers.next(), numbers.next()) {
                (Some(Some(address)), Some(Some(value)), None) => words.put(address, value),
                _ => {
                    return Err(OptionsError::EfuseLine {
                        path: path.clone(),
                        line: index + 1,
                    });
                }
            }
        }
        Ok(words)
    }

    fn base_words(&self) -> Result<Words, IdentityError> {
        let crystal = self.crystal_mhz();
        identity::check_crystal(self.chip, crystal)?;
        Words::new(
            self.chip,
            self.revision,
            self.mac(),
            &self.fields,
            crystal,
            self.faults.drift,
        )
    }
}

impl FromStr for SimOptions {
    type Err = OptionsError;

    fn from_str(text: &str) -> Result<Self, OptionsError> {
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or_else(|| OptionsError::Scheme(text.to_owned()))?;
        let (chip, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut options = Self::for_chip(&decode(chip.trim_end_matches('/'))?)?;
        for item in query.split('&').filter(|item| !item.is_empty()) {
            let (key, value) = item.split_once('=').unwrap_or((item, ""));
            options.set(&decode(key)?, &decode(value)?)?;
        }
        options.check()?;
        Ok(options)
    }
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<String, OptionsError> {
    let error = || OptionsError::Encoding(text.to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            let digit = rest.next().ok_or_else(error)?;
            (digit as char).to_digit(16).ok_or_else(error)
        };
        bytes.push((digit()? << 4 | digit()?) as u8);
    }
    String::from_utf8(bytes).map_err(|_| error())
}

/// A size such as `4MB`, `512KB`, `4M`, `0x400000`.
fn parse_size(text: &str) -> Option<u32> {
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_suffix('B').filter(|_| !text.starts_with("0x"));
    let digits = bare.unwrap_or(&upper);
    let (digits, unit) = if let Some(digits) = digits.strip_suffix('K') {
        (digits, 1 << 10)
    } else if let Some(digits) = digits.strip_suffix('M') {
        (digits, 1 << 20)
    } else {
        return parse_number(text);
    };
    digits.parse::<u32>().ok()?.checked_mul(unit)
}

fn parse_hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<SimOptions>().unwrap_err().to_string()
    }

    #[test]
    fn every_named_option_is_known() {
        let mut options = SimOptions::for_chip("esp32c3").expect("there is such a chip");
        for name in OPTIONS {
            let result = options.set(name, "?");
            assert!(!matches!(result, Err(OptionsError::Key(_))), "{name}");
        }
    }

    #[test]
    fn every_option_is_documented() {
        let page = include_str!("../../../docs/simulator.md");
        for name in OPTIONS {
            let alone = page.contains(&format!("`{name}`"));
            assert!(alone || page.contains(&format!("`{name}=")), "{name}");
        }
    }

    #[test]
    fn an_address_says_all_that_flags_can() {
        let options: SimOptions = "sim://esp32c3?flash=/tmp/a%20b.bin&flash-size=8MB&rev=0.4\
            &mac=24:0a:c4:00:00:01&boot=app&usb=jtag&fault=drop:tx:@5,seed=3&fast&latency=16ms\
            &set.package=1"
            .parse()
            .unwrap();
        assert_eq!(options.chip.id, "esp32c3");
        assert_eq!(options.flash, Some("/tmp/a b.bin".into()));
        assert_eq!(options.flash_part().unwrap().name, "W25Q64JV");
        assert_eq!(options.revision(), Revision::new(0, 4));
        assert_eq!(options.boot, Boot::App);
        assert_eq!(options.usb, UsbMode::Jtag);
        assert_eq!(options.faults.tx.len(), 1);
        assert_eq!(options.pace, Some(Pace::Fast));
        assert_eq!(options.latency, Duration::from_millis(16));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        assert!(error("sim://esp99").contains("esp32c3"));
        assert!(error("sim://esp32c3?colour=red").contains("colour"));
        assert!(error("sim://esp32c3?flash-size=big").contains("4MB"));
        assert!(error("sim://esp32c3?flash-size=3MB").contains("3145728"));
        assert!(error("sim://esp32c3?rev=9.0").contains("major"));
        assert!(error("sim://esp32c3?rev=x").contains("0.3"));
        assert!(error("sim://esp32c3?mac=1").contains("MAC"));
        assert!(error("sim://esp32c3?usb=otg").contains("usb=uart"));
        assert!(error("sim://esp32c3?part=W25Q32JV&flash-size=8MB").contains("W25Q32JV"));
        assert!(error("sim://esp32c3?fault=melt").contains("melt"));
        assert!(error("sim://esp32c3?flash=%zz").contains("%zz"));
        assert!(error("sim://esp32c3?set.colour=1").contains("package"));
        assert!(error("sim://esp32c3?crystal=26").contains("26"));
        assert!(error("sim://esp32c3?reenumerate=same").contains("usb=jtag"));
        assert!(error("sim://esp32c3?usb=jtag&reenumerate=no").contains("other"));
        assert!(error("sim://esp32c3?away=1h").contains("500ms"));
        assert!(error("/dev/ttyUSB0").contains("sim://"));
    }
}
