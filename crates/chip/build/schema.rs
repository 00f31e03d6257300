//! The data files as they are written; `chips/README.md` explains them to people. Names and meaning
//! follow `src/model.rs`.

use serde::Deserialize;
use std::collections::BTreeMap;

use super::bits::{Blocks, Runs};
use super::fuses::Fuses;
use super::registers::Registers;
use super::rom_code::RomCode;

/// One chip: `chips/NAME.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chip {
    pub name: String,
    pub architecture: Architecture,
    pub uf2_family: Option<u32>,
    #[serde(default)]
    pub quirks: Vec<Quirk>,
    pub detection: Detection,
    pub image: Image,
    pub rom: Rom,
    pub usb: Usb,
    pub spi: Spi,
    pub uart: Uart,
    pub crystal: Crystal,
    pub efuse: Efuse,
    pub identity: Identity,
    #[serde(default)]
    pub security: Security,
    pub watchdogs: Option<Watchdogs>,
    pub strapping: Option<Strapping>,
    pub flash: Flash,
    pub memory: Memory,
    pub machine: Option<Machine>,
    pub fast_clock: Option<FastClock>,
    #[serde(default)]
    pub named_bits: BTreeMap<String, Runs>,
    /// Read and checked by `cargo xtask stub`, which alone needs it.
    #[serde(default, rename = "stub")]
    pub _stub: serde::de::IgnoredAny,
    /// From a file of their own.
    #[serde(skip)]
    pub fuses: Option<Fuses>,
    /// From a file of their own.
    #[serde(skip)]
    pub rom_code: Option<RomCode>,
    /// From a file of their own; always there once the entry is read.
    #[serde(skip)]
    pub registers: Option<Registers>,
}

#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    XtensaLx106,
    XtensaLx6,
    XtensaLx7,
    Riscv32,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Quirk {
    LegacyAttach,
    NumericChipId,
    AttachFromEfuse,
    BaudFromRtcCalibration,
    FlashPowerUp,
    Eco0Revision,
    ClearForceDownload,
    SlowFpga,
    #[serde(rename = "unsure-below-115200")]
    UnsureBelow115200,
    ShortLastPage,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Detection {
    Magic(u32),
    ChipId(u16),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    pub chip_id: Option<u16>,
    pub bootloader_offset: u32,
    pub legacy_revision: LegacyRevision,
    #[serde(default = "fixed_page")]
    pub mmu_pages: Vec<u32>,
}

fn fixed_page() -> Vec<u32> {
    vec![0x1_0000]
}

#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum LegacyRevision {
    Major,
    Minor,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rom {
    pub status_len: u8,
    pub commands: Vec<u8>,
    #[serde(default)]
    pub secure_commands: Vec<u8>,
    pub security_info: SecurityInfo,
    pub begin_words: u8,
    pub sync_value: u32,
    pub flash_block: u32,
    pub ram_block: u32,
    pub receive: Receive,
    pub erase: Erase,
    pub inflate: Option<Inflate>,
    pub md5: bool,
    #[serde(default)]
    pub ram_needs_insecure_boot: bool,
    pub start_pointer: Option<u32>,
    pub cache_ram: Option<(u32, u32)>,
    pub default_flash_size: u32,
    pub log_baud: u32,
    pub banners: Vec<Banner>,
    pub boot_modes: Vec<BootMode>,
    #[serde(default)]
    pub reset_reasons: Vec<ResetReason>,
    pub resets: Resets,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResetReason {
    pub code: u8,
    #[serde(default)]
    pub name: String,
    pub cause: ResetCause,
    #[serde(default)]
    pub also: Vec<ResetCause>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum ResetCause {
    PowerOn,
    Pin,
    Software,
    SoftwareCpu,
    DeepSleep,
    PowerDown,
    CpuPowerDown,
    Sdio,
    #[serde(rename = "timer-watchdog-0")]
    TimerWatchdog0,
    #[serde(rename = "timer-watchdog-1")]
    TimerWatchdog1,
    #[serde(rename = "timer-watchdog-0-cpu")]
    TimerWatchdog0Cpu,
    #[serde(rename = "timer-watchdog-1-cpu")]
    TimerWatchdog1Cpu,
    RtcWatchdog,
    RtcWatchdogCpu,
    RtcWatchdogSystem,
    HardwareWatchdog,
    LegacyWatchdog,
    SuperWatchdog,
    OtherCpu,
    Brownout,
    ClockGlitch,
    PowerGlitch,
    Efuse,
    UsbUart,
    UsbJtag,
    Jtag,
    Lockup,
    Intrusion,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum SecurityInfo {
    None,
    Short,
    Long,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receive {
    pub size: u32,
    pub ahead: bool,
}

#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Erase {
    HeadBlocksTail,
    HeadTwice,
}

#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Inflate {
    Exact,
    WholeWindows,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Banner {
    pub min_revision: u16,
    #[serde(default)]
    pub version: u32,
    pub build: String,
    pub lines: Vec<String>,
    #[serde(default)]
    pub waiting: Vec<String>,
    #[serde(default = "loading")]
    pub loading: Vec<String>,
    #[serde(default = "segment")]
    pub segment: String,
    #[serde(default)]
    pub no_image: String,
}

/// As most ROMs since the ESP32-S2 print it.
fn loading() -> Vec<String> {
    vec![
        "SPIWP:{wp}".to_owned(),
        "mode:{flash_mode}, clock div:{clock_div}".to_owned(),
    ]
}

fn segment() -> String {
    "load:{address},len:{len}".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootMode {
    pub strap: u16,
    pub name: String,
    #[serde(default)]
    pub download: bool,
    #[serde(default)]
    pub min_revision: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resets {
    pub power_on: String,
    pub pin: String,
    pub watchdog: String,
    #[serde(default)]
    pub software: String,
    #[serde(default)]
    pub usb: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usb {
    pub serial_jtag: bool,
    pub otg_product: Option<u16>,
    #[serde(default = "otg_block")]
    pub otg_block: u32,
    pub otg_reset: OtgReset,
}

/// The ROM's CDC device takes no more at a time on any chip so far.
const fn otg_block() -> u32 {
    0x800
}

#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum OtgReset {
    Pin,
    WatchdogIfStrapped,
    Watchdog,
}

/// Offsets are relative to `base`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spi {
    pub base: u32,
    pub usr: u32,
    pub usr1: u32,
    pub usr2: u32,
    pub mosi_dlen: Option<u32>,
    pub miso_dlen: Option<u32>,
    pub w0: u32,
    pub address_msb: bool,
    pub pins: Option<SpiPins>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpiPins {
    #[serde(default)]
    pub hspi: bool,
    pub gpios: Vec<(u8, u8)>,
    pub hd_max: Option<u8>,
    #[serde(default)]
    pub usb_gpios: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uart {
    pub clkdiv: u32,
    pub date: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Crystal {
    Fixed(u8),
    Estimated(Estimated),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimated {
    pub divisor: u8,
    pub choices: Vec<u8>,
    pub assumed: Option<Assumed>,
}

/// A number of MHz, or the bits that tell it.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Assumed {
    Always(u8),
    Register(AssumedRegister),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssumedRegister {
    pub bits: Runs,
    pub usual: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Efuse {
    pub base: u32,
    pub len: u32,
    /// Offset of the first word from `base`, and number of words, by name.
    pub blocks: BTreeMap<String, (u32, u32)>,
}

impl Efuse {
    /// Address of the first word and number of words, by name.
    pub fn blocks(&self) -> Blocks {
        self.blocks
            .iter()
            .map(|(name, &(offset, words))| {
                (name.clone(), (self.base.saturating_add(offset), words))
            })
            .collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    pub has_revision: bool,
    #[serde(default)]
    pub fields: BTreeMap<String, Field>,
    pub part: Vec<Rule>,
    pub features: Vec<Feature>,
    pub mac: Mac,
}

/// Bits alone, or bits with what they mean.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Field {
    Plain(Runs),
    Full(FullField),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullField {
    pub bits: Runs,
    #[serde(default)]
    pub map: BTreeMap<String, u32>,
    #[serde(default)]
    pub names: BTreeMap<String, String>,
}

/// A text that always applies, or the rules of which the first that holds applies.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Feature {
    Always(String),
    First(Vec<Rule>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(default)]
    pub when: BTreeMap<String, Values>,
    pub text: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Values {
    One(u32),
    Any(Vec<u32>),
}

impl Values {
    pub fn list(&self) -> &[u32] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Any(values) => values,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mac {
    pub low: Runs,
    pub high: Runs,
    /// The upper half of `high` extends the MAC to an EUI-64.
    #[serde(default)]
    pub eui64: bool,
    /// The ESP8266's third word, which holds a whole OUI when it is not zero.
    pub oui: Option<Runs>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Security {
    #[serde(default)]
    pub secure_boot: Vec<SecureBoot>,
    pub secure_boot_v1: Option<Runs>,
    pub crypt_count: Option<Runs>,
    pub no_manual_encrypt: Option<Runs>,
    #[serde(default)]
    pub key_purposes: Vec<Runs>,
    pub no_purpose: Option<u8>,
    #[serde(default)]
    pub xts_keys: Vec<Vec<u32>>,
    #[serde(default)]
    pub purpose_names: BTreeMap<String, String>,
    pub key_manager: Option<Runs>,
    pub crypt_block: Option<CryptBlock>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecureBoot {
    pub bits: Runs,
    #[serde(default)]
    pub min_revision: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CryptBlock {
    pub key: Runs,
    pub key_hidden: Runs,
    pub whole: Option<Runs>,
    pub config: Option<CryptConfig>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CryptConfig {
    pub value: Runs,
    pub hidden: Runs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchdogs {
    pub config0: u32,
    pub config1: u32,
    pub protect: u32,
    pub key: u32,
    pub can_reset: bool,
    pub swd: Option<SuperWatchdog>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuperWatchdog {
    pub config: u32,
    pub auto_feed: u8,
    pub protect: u32,
    pub key: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strapping {
    pub gpio_strap: u32,
    pub boot_bit: u8,
    pub force_download: Option<Runs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flash {
    /// Label, code of the high nibble.
    pub sizes: Vec<(String, u8)>,
    pub frequencies: Vec<(String, u8)>,
    pub encrypted_align: u32,
    pub address_32bit: bool,
    pub type_bit: Option<Runs>,
    #[serde(default)]
    pub voltage: Vec<Voltage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voltage {
    pub source: String,
    #[serde(default)]
    pub when: Vec<(Runs, u32)>,
    pub volts: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Name, start, end (exclusive), in the order in which tools search them.
    pub map: Vec<(String, u32, u32)>,
    pub irom: (u32, u32),
    #[serde(default)]
    pub drom: (u32, u32),
    /// What the ROM's loader works in.
    #[serde(default)]
    pub rom_reserved: Vec<Reserved>,
}

/// What the simulator needs in order to execute programs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// CPU cycles and the crystal's cycles in the same time.
    pub clock: (u8, u8),
    pub ram: Vec<Window>,
    pub stack: u32,
    /// Start, end (exclusive).
    pub rom: Vec<(u32, u32)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FastClock {
    pub crystal: Option<u8>,
    pub uart: Option<u8>,
    pub writes: Vec<BitsWrite>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BitsWrite {
    pub bits: Runs,
    pub value: u32,
    #[serde(default)]
    pub delay_us: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    pub start: u32,
    pub end: u32,
    pub bank: String,
    /// Of the window's first byte in its bank.
    #[serde(default)]
    pub offset: u32,
    #[serde(default)]
    pub access: RamAccess,
}

#[derive(Deserialize, Clone, Copy, Debug, Default)]
#[serde(rename_all = "kebab-case")]
pub enum RamAccess {
    #[default]
    Any,
    Data,
    WordOnly,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserved {
    pub start: u32,
    pub end: u32,
    #[serde(default)]
    pub min_revision: u16,
    #[serde(default = "any_revision")]
    pub max_revision: u16,
}

fn any_revision() -> u16 {
    u16::MAX
}
