//! The shape of a chip's entry. Every value comes from one file under `chips/`; nothing here knows
//! a particular chip.

use std::ops::Range;

use crate::{Registers, Revision};

/// One chip family, as its mask ROM and its data sheet describe it.
#[derive(Debug)]
pub struct Chip {
    /// Name on the command line and of the data file, such as `esp32c3`.
    pub id: &'static str,
    /// Name in print, such as `ESP32-C3`.
    pub name: &'static str,
    /// What its CPUs are.
    pub architecture: Architecture,
    /// How the chip is told from the others.
    pub detection: Detection,
    /// Rules for firmware images.
    pub image: ImageRules,
    /// What the mask ROM's serial loader can do and how it behaves.
    pub rom: Rom,
    /// What programs in RAM find in the mask ROM, by the first revision that has it so, ascending.
    /// Empty where nothing is known.
    pub rom_code: &'static [RomCode],
    /// The USB devices that the chip itself can be.
    pub usb: Usb,
    /// The controller through which the flash is reached by register access.
    pub spi: SpiController,
    /// The UART on which the loader talks.
    pub uart: Uart,
    /// Where the eFuse controller shows its blocks.
    pub efuse: EfuseSpace,
    /// Part name, revision, features, MAC.
    pub identity: Identity,
    /// Crystal.
    pub crystal: Crystal,
    /// eFuse bits that guard the flash.
    pub security: Security,
    /// RTC and super watchdog, where a session has to silence them or can reset by them.
    pub watchdogs: Option<Watchdogs>,
    /// Strapping and force-download registers.
    pub strapping: Option<Strapping>,
    /// Flash sizes, frequencies and encryption units of image headers.
    pub flash: FlashTables,
    /// Address ranges by the names that tools print, in the order of the data sheet.
    pub memory: &'static [MemoryRange],
    /// RAM that the ROM's loader works in: what is loaded there would be overwritten, or end the
    /// loader. Empty where it is not known.
    pub rom_reserved: &'static [ReservedRange],
    /// Instruction bus window through which flash is executed.
    pub irom: Range<u32>,
    /// Data bus window through which flash is read; empty where the chip has none.
    pub drom: Range<u32>,
    /// What the simulator needs in order to execute programs; `None`: it does not.
    pub machine: Option<Machine>,
    /// How a program in RAM has the CPU run faster than the ROM's loader does; `None`: the rate is as
    /// good as the line needs, or not known to be safe.
    pub fast_clock: Option<FastClock>,
    /// UF2 family id, where one is assigned.
    pub uf2_family: Option<u32>,
    /// Behaviour that numbers cannot express; each has one function in the code.
    pub quirks: &'static [Quirk],
    /// Bits that the functions behind [`Chip::quirks`] need, by name; each quirk says
    /// which.
    pub named_bits: &'static [(&'static str, Bits)],
    /// Registers that a program finds, for the simulator.
    pub registers: Registers,
}

/// An entry is told by its id: there is one of each.
impl PartialEq for Chip {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Chip {}

/// What a chip's CPUs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Xtensa LX106 (ESP8266).
    XtensaLx106,
    /// Xtensa LX6.
    XtensaLx6,
    /// Xtensa LX7.
    XtensaLx7,
    /// RISC-V, 32 bits.
    Riscv32,
}

/// How a chip is told from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detection {
    /// The word at [`MAGIC_ADDRESS`] has this value.
    Magic(u32),
    /// GET_SECURITY_INFO answers this chip id.
    ChipId(u16),
}

/// Address of the ROM word that differs between the early chips.
pub const MAGIC_ADDRESS: u32 = 0x4000_1000;

/// Rules for firmware images.
#[derive(Debug)]
pub struct ImageRules {
    /// Chip id in the extended header; `None`: the chip's images have no extended header.
    pub chip_id: Option<u16>,
    /// Flash offset, in bytes, from which the ROM boots.
    pub bootloader_offset: u32,
    /// What the legacy `min_rev` header byte is compared with.
    pub legacy_revision: LegacyRevision,
    /// Sizes in bytes of the pages by which flash is mapped, ascending, among which a program
    /// chooses; one alone is fixed. 64 KB is always among them.
    pub mmu_pages: &'static [u32],
}

/// What the legacy `min_rev` byte of an image header is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegacyRevision {
    /// The major wafer revision.
    Major,
    /// The minor wafer revision (ESP32-C3).
    Minor,
}

/// The mask ROM's serial loader.
#[derive(Debug)]
pub struct Rom {
    /// Status bytes behind each response: 2 or 4.
    pub status_len: u8,
    /// Opcodes that the loader answers, ascending.
    pub commands: &'static [u8],
    /// Opcodes that it still answers in Secure Download Mode, ascending.
    pub secure_commands: &'static [u8],
    /// Form of the answer to GET_SECURITY_INFO.
    pub security_info: SecurityInfoForm,
    /// Payload words of FLASH_BEGIN and FLASH_DEFL_BEGIN: 4, or 5 with the encryption flag.
    pub begin_words: u8,
    /// Value word in the answers to SYNC; the flasher stub answers 0.
    pub sync_value: u32,
    /// Largest flash block, in bytes.
    pub flash_block: u32,
    /// Largest RAM block, in bytes.
    pub ram_block: u32,
    /// Receive buffer, in bytes, and what happens beyond it.
    pub receive: ReceiveBuffer,
    /// What FLASH_BEGIN erases when asked for a range.
    pub erase: EraseRule,
    /// What the inflater writes at the end of a compressed stream; `None`: no FLASH_DEFL commands.
    pub inflate: Option<InflateRule>,
    /// How SPI_FLASH_MD5 answers; `None`: no digest command.
    pub md5: bool,
    /// Whether the ROM starts no program in RAM once secure boot is on.
    pub ram_needs_insecure_boot: bool,
    /// Where the loader keeps a pointer to the function by which READ_FLASH_SLOW reads: a program in
    /// RAM is started by it where secure boot forbids MEM_END to.
    pub start_pointer: Option<u32>,
    /// Instruction RAM that becomes the flash's cache only when the application starts: programs may
    /// take it, images may not.
    pub cache_ram: Option<Range<u32>>,
    /// Flash size, in bytes, that the ROM assumes before SPI_SET_PARAMS.
    pub default_flash_size: u32,
    /// What is printed at reset, by the first chip revision that prints it, ascending.
    pub banners: &'static [Banner],
    /// Names of boot modes by strapping value, for the boot log (`boot:0x13 (...)`).
    pub boot_modes: &'static [BootMode],
    /// What the numbers of resets mean, ascending: the same number means different things on
    /// different chips. Empty where nothing is known.
    pub reset_reasons: &'static [ResetReason],
    /// Name and code of the reset causes that a session provokes: power-on, RTS, watchdog.
    pub resets: ResetCauses,
    /// Baud rate of the boot log with the usual crystal (the ESP8266 prints at 74880).
    pub log_baud: u32,
}

/// Functions and variables of the mask ROM, as far as flasher stubs use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RomCode {
    /// First revision with this ROM: major * 100 + minor.
    pub min_revision: u16,
    /// Functions by the names that Espressif's linker scripts give them, with each address at which
    /// one begins. No address occurs twice.
    pub functions: &'static [(&'static str, &'static [u32])],
    /// Variables.
    pub data: RomData,
}

/// Variables of the mask ROM, by address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RomData {
    /// What the ROM's flash functions know of the flash, a word each: JEDEC id, size, block size,
    /// sector size, page size, status mask; sizes in bytes.
    pub flash_chip: u32,
    /// A pointer to that.
    pub flash_chip_pointer: Option<u32>,
    /// The connection of the loader: a word with its baud rate, and 24 bytes in a byte with its
    /// number.
    pub uart_device: Option<u32>,
    /// A pointer to the device that the functions of the USB-OTG console take.
    pub usb_device_pointer: Option<u32>,
    /// Number of the USB-Serial/JTAG as the loader's connection.
    pub serial_jtag_number: Option<u8>,
    /// Number of USB-OTG as the loader's connection.
    pub otg_number: Option<u8>,
    /// A word that tells the versions of the ROM apart.
    pub eco_version: Option<u32>,
    /// What it says, by the first revision, ascending.
    pub eco_versions: &'static [(u16, u32)],
    /// Further words: address and value.
    pub words: &'static [(u32, u32)],
}

/// Form of the answer to GET_SECURITY_INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurityInfoForm {
    /// The command is unknown to the ROM.
    None,
    /// 12 bytes: flags, crypt count, key purposes.
    Short,
    /// 20 bytes: the short form, chip id, API version.
    Long,
}

/// The loader's receive buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiveBuffer {
    /// Size in bytes.
    pub size: u32,
    /// Whether bytes are still taken while a flash operation runs, so that a packet may go ahead
    /// of an answer. `false` until it has been seen on silicon.
    pub ahead: bool,
}

/// What FLASH_BEGIN erases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EraseRule {
    /// Single sectors up to the next 64 KiB boundary (16 of them from an aligned start), 64 KiB
    /// blocks while more than 16 sectors remain, then single sectors.
    HeadBlocksTail,
    /// As `HeadBlocksTail`, but the sectors before the first 64 KiB boundary are counted twice
    /// (ESP8266), so that more is erased than was asked for.
    HeadTwice,
}

/// What the ROM's inflater writes to flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InflateRule {
    /// The bytes of the stream, rounded up to a multiple of 4: up to three stale bytes follow an odd
    /// length.
    Exact,
    /// Whole 32 KiB windows: the last one is filled with stale bytes, and behind a length that is
    /// a multiple of 32 KiB one more is written (ESP32).
    WholeWindows,
}

/// Boot log of a range of chip revisions.
#[derive(Debug)]
pub struct Banner {
    /// First revision (major * 100 + minor) with this ROM.
    pub min_revision: u16,
    /// Version that the ROM gives itself in the long answer to GET_SECURITY_INFO.
    pub version: u32,
    /// The ROM's build line, printed first, such as `ESP-ROM:esp32c3-api1-20210207`. Empty on the
    /// ESP8266, which begins with an empty line.
    pub build: &'static str,
    /// Further lines. `{reset}` stands for the reset cause (`0x1 (POWERON)`), `{mode}` for the
    /// strapping value (`0xd`), `{mode_name}` for its name.
    pub lines: &'static [&'static str],
    /// Lines printed behind these when the serial loader starts.
    pub waiting: &'static [&'static str],
    /// Lines printed before the segments of an image are loaded. `{wp}` stands for the WP pin of its
    /// header (`0xee`), `{flash_mode}` for `DIO` and so on, `{clock_div}` for the divider of the
    /// flash clock.
    pub loading: &'static [&'static str],
    /// Line for each segment: `{address}`, `{len}` and, without `0x`, `{decimal_len}`.
    pub segment: &'static str,
    /// The line that is repeated when the chip boots from an erased flash; empty: silence.
    pub no_image: &'static str,
}

/// A boot mode as the ROM prints it.
#[derive(Debug)]
pub struct BootMode {
    /// Strapping value that it prints: the low bits of GPIO_STRAP (ESP8266: GPIO15, GPIO0, GPIO2).
    pub strap: u16,
    /// Name in parentheses behind the value (ESP8266: what it prints in place of the value).
    pub name: &'static str,
    /// Whether the serial loader runs in this mode.
    pub download: bool,
    /// First chip revision whose ROM prints this name; see [`Rom::boot_mode`].
    pub min_revision: u16,
}

/// What the number of a reset means (ESP-IDF `soc/reset_reasons.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResetReason {
    /// The number, as the ROM prints it and software reads it.
    pub code: u8,
    /// The name that the ROM prints; empty where it prints none or it is not known.
    pub name: &'static str,
    /// What reset the chip.
    pub cause: ResetCause,
    /// What else may have, with the same number.
    pub also: &'static [ResetCause],
}

/// What can reset a chip, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResetCause {
    /// The supply was switched on, or EN released.
    PowerOn,
    /// The reset pin, where it has a number of its own.
    Pin,
    /// The program, all but the part that is always on.
    Software,
    /// The program, a CPU.
    SoftwareCpu,
    /// The end of deep sleep.
    DeepSleep,
    /// The digital part was without power.
    PowerDown,
    /// A CPU was without power.
    CpuPowerDown,
    /// The host on SDIO.
    Sdio,
    /// Watchdog of timer group 0, all but the part that is always on.
    TimerWatchdog0,
    /// Watchdog of timer group 1, all but the part that is always on.
    TimerWatchdog1,
    /// Watchdog of timer group 0, a CPU.
    TimerWatchdog0Cpu,
    /// Watchdog of timer group 1, a CPU.
    TimerWatchdog1Cpu,
    /// RTC watchdog (LP watchdog), all but the part that is always on.
    RtcWatchdog,
    /// RTC watchdog (LP watchdog), a CPU.
    RtcWatchdogCpu,
    /// RTC watchdog (LP watchdog), everything.
    RtcWatchdogSystem,
    /// The ESP8266's hardware watchdog.
    HardwareWatchdog,
    /// The watchdog of early ESP32 that the headers do not have any more.
    LegacyWatchdog,
    /// The super watchdog, which watches the part that is always on.
    SuperWatchdog,
    /// The other CPU.
    OtherCpu,
    /// The supply was too low.
    Brownout,
    /// A glitch of the clock.
    ClockGlitch,
    /// A glitch of the supply.
    PowerGlitch,
    /// The eFuses did not read right.
    Efuse,
    /// The USB-Serial/JTAG port's serial lines: a tool on the host.
    UsbUart,
    /// The USB-Serial/JTAG port's JTAG: a debugger on the host.
    UsbJtag,
    /// A debugger.
    Jtag,
    /// A CPU came to an exception inside an exception handler and stopped.
    Lockup,
    /// A name of the ROM that no header explains.
    Intrusion,
}

/// Reset causes as the ROM prints them, for example `0x1 (POWERON)`.
#[derive(Debug)]
pub struct ResetCauses {
    /// After power-on.
    pub power_on: &'static str,
    /// After a pulse on EN (RTS); the same as power-on on most chips.
    pub pin: &'static str,
    /// After the RTC watchdog.
    pub watchdog: &'static str,
    /// After a reset of the whole system by software.
    pub software: &'static str,
    /// After the reset by the USB-Serial/JTAG peripheral; empty where there is none.
    pub usb: &'static str,
}

/// The USB devices that the chip itself can be (vendor id 0x303A).
#[derive(Debug)]
pub struct Usb {
    /// Has a USB-Serial/JTAG peripheral (product id 0x1001).
    pub serial_jtag: bool,
    /// Product id of the ROM's CDC device on USB-OTG.
    pub otg_product: Option<u16>,
    /// Largest block, in bytes, over USB-OTG.
    pub otg_block: u32,
    /// Whether a hard reset over USB-OTG must be made by watchdog.
    pub otg_reset: OtgReset,
}

/// How a chip that is reached over USB-OTG is reset into its application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtgReset {
    /// By RTS, as elsewhere.
    Pin,
    /// By watchdog when GPIO0 is strapped low and download is not forced.
    WatchdogIfStrapped,
    /// Always by watchdog.
    Watchdog,
}

/// Espressif's USB vendor id.
pub const ESPRESSIF_VENDOR: u16 = 0x303A;
/// USB product id of the USB-Serial/JTAG peripheral.
pub const USB_SERIAL_JTAG_PRODUCT: u16 = 0x1001;

/// SPI memory controller registers, as absolute addresses.
#[derive(Debug)]
pub struct SpiController {
    /// SPI_MEM_CMD.
    pub cmd: u32,
    /// SPI_MEM_ADDR.
    pub addr: u32,
    /// SPI_MEM_CTRL (status register mode, QIO and so on).
    pub ctrl: u32,
    /// SPI_MEM_USER.
    pub usr: u32,
    /// SPI_MEM_USER1 (address and dummy lengths).
    pub usr1: u32,
    /// SPI_MEM_USER2 (command value and length).
    pub usr2: u32,
    /// Bit lengths of the data phases.
    pub lengths: SpiLengths,
    /// First of the 16 data words.
    pub w0: u32,
    /// Whether the address is left-aligned in its word.
    pub address_msb: bool,
    /// Whether pins can be given with `--spi-connection`.
    pub pins: SpiPins,
}

/// Where the lengths of the data phases are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpiLengths {
    /// Registers of their own: MOSI_DLEN and MISO_DLEN, in bits minus one.
    Registers {
        /// Host to flash.
        mosi: u32,
        /// Flash to host.
        miso: u32,
    },
    /// Fields of USER1: MOSI at bit 17, MISO at bit 8 (ESP8266).
    InUsr1,
}

/// Which pins can be named for the flash.
#[derive(Debug)]
pub struct SpiPins {
    /// Whether custom pins are supported at all.
    pub custom: bool,
    /// Whether the second set of pins (`HSPI`) can be named.
    pub hspi: bool,
    /// Valid GPIO numbers, as inclusive ranges.
    pub gpios: &'static [(u8, u8)],
    /// Highest GPIO for HD; where it is lower than the others' (ESP32-S3).
    pub hd_max: Option<u8>,
    /// GPIOs of the chip's own USB, about which a user is warned.
    pub usb_gpios: &'static [u8],
}

/// Registers of the UART on which the loader talks.
#[derive(Debug)]
pub struct Uart {
    /// UART_CLKDIV: divider of the clock by the baud rate, 20 bits.
    pub clkdiv: u32,
    /// UART_DATE: readable, harmless; used to probe register access.
    pub date: u32,
}

/// Crystal frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crystal {
    /// Always this many MHz.
    Fixed(u8),
    /// Estimated from the UART divider: baud * divider / 1e6 / `divisor`, then the nearest of
    /// `choices` MHz.
    Estimated {
        /// Clock cycles of the crystal in one UART clock.
        divisor: u8,
        /// Possible crystals in MHz, ascending.
        choices: &'static [u8],
        /// What the ROM takes the crystal to be when it is asked for a baud rate.
        assumed: AssumedCrystal,
    },
}

/// What the ROM takes the crystal to be when it is asked for a baud rate; with another crystal the
/// chip gets another rate than was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssumedCrystal {
    /// The one that is there.
    Right,
    /// Always this many MHz.
    Always(u8),
    /// As many MHz as these bits say, `usual` unless something set them.
    Register {
        /// The bits.
        bits: Bits,
        /// What they are after a reset.
        usual: u8,
    },
}

/// A run of bits in a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    /// Register address.
    pub addr: u32,
    /// Lowest bit.
    pub lsb: u8,
    /// Number of bits, 1 to 32.
    pub width: u8,
}

/// A number gathered from runs of bits, lowest run first.
#[derive(Debug)]
pub struct Field {
    /// Name that rules refer to.
    pub name: &'static str,
    /// Runs, the least significant first.
    pub parts: &'static [Bits],
    /// Raw value to meaning; empty: the raw value counts. A raw value that is not listed means 0.
    pub map: &'static [(u32, u32)],
    /// What a rule's text shows for `{name}`; empty: the number. A value that is not listed shows
    /// as nothing.
    pub names: &'static [(u32, &'static str)],
}

/// Where the eFuse controller shows its blocks for reading.
#[derive(Debug)]
pub struct EfuseSpace {
    /// Address of the controller's first register.
    pub base: u32,
    /// Bytes from `base` that hold registers of the controller.
    pub len: u32,
    /// The read registers of each block, by ascending address.
    pub blocks: &'static [EfuseBlock],
    /// Fields under the names of ESP-IDF's tables, by ascending name; twice where a later revision has
    /// them elsewhere.
    pub fields: &'static [EfuseField],
    /// Bit of the flags in the answer to GET_SECURITY_INFO, and the field that shows there: set when
    /// an odd number of the field's bits is.
    pub info_flags: &'static [(u8, &'static str)],
    /// Fields that limit the serial loader.
    pub download: Option<DownloadRules>,
    /// The secure download certificate, on chips that take one.
    pub certificate: Option<CertificateRules>,
}

/// An eFuse field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EfuseField {
    /// Name, such as `SECURE_BOOT_EN`.
    pub name: &'static str,
    /// Runs, the least significant first; 32 bits at the most.
    pub parts: &'static [Bits],
    /// The first revision that has it so.
    pub since: Revision,
    /// The first later revision that has it otherwise or not at all.
    pub until: Revision,
}

/// eFuse fields that limit the serial loader, by name, and what the ROM says then.
#[derive(Debug)]
pub struct DownloadRules {
    /// The loader is not entered at all.
    pub disabled: &'static str,
    /// First chip revision (major * 100 + minor) whose ROM looks at that.
    pub disabled_since: u16,
    /// The line that the ROM prints before it resets the chip, again and again.
    pub says_disabled: &'static str,
    /// Secure Download Mode.
    pub secure: Option<&'static str>,
    /// The line that the ROM prints in that mode in place of `waiting for download`.
    pub says_secure: &'static str,
    /// Each of them keeps the loader from USB-Serial/JTAG.
    pub no_serial_jtag: &'static [&'static str],
    /// Each of them keeps the loader from USB-OTG.
    pub no_otg: &'static [&'static str],
}

/// eFuse fields of the secure download certificate (SDC; the ROM calls it RMA), by name, and what the
/// ROM does about it.
#[derive(Debug)]
pub struct CertificateRules {
    /// An odd number of its bits: the ROM knows the commands of the certificate.
    pub enabled: &'static str,
    /// Sessions so far, a bit each; part of the chip info.
    pub counter: &'static str,
    /// Not 0: shows in bit 12 of GET_SECURITY_INFO's flags.
    pub nonce: &'static str,
    /// Set: the chip info is not made of the MAC, and cannot be asked for.
    pub not_by_mac: &'static str,
    /// Set: no certificate can enable JTAG again.
    pub no_jtag: &'static str,
    /// Purpose of the key block that holds the digest of the signer's key.
    pub key_purpose: u8,
    /// The line that the ROM prints where download mode is disabled and a certificate may open it.
    pub says: &'static str,
    /// The commands that it knows then, ascending.
    pub commands: &'static [u8],
    /// Cause of the reset that it makes when it takes a certificate.
    pub reset: &'static str,
}

/// Read registers of an eFuse block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EfuseBlock {
    /// Name in the chip's data file, such as `blk0`.
    pub name: &'static str,
    /// Address of the first word.
    pub addr: u32,
    /// Number of 32-bit words.
    pub words: u32,
}

/// Part name, revision, features, MAC: which bits say what.
#[derive(Debug)]
pub struct Identity {
    /// Fields by name. `major` and `minor` (wafer revision) are present on every chip with
    /// revisions, and a rule's text may name no other fields than these.
    pub fields: &'static [Field],
    /// Part name: the first rule that holds.
    pub part: &'static [Rule],
    /// Whether the part's name is followed by ` (revision vX.Y)`.
    pub has_revision: bool,
    /// Feature lists, in order: each group contributes its first rule that holds, if any.
    pub features: &'static [&'static [Rule]],
    /// The base MAC.
    pub mac: Mac,
}

/// A text that applies under conditions on fields; all must hold.
#[derive(Debug)]
pub struct Rule {
    /// Field name and the values that satisfy it.
    pub when: &'static [(&'static str, &'static [u32])],
    /// The text; `{field}` is replaced by a field's value. Empty: nothing is printed.
    pub text: &'static str,
}

/// Where the MAC is.
#[derive(Debug)]
pub struct Mac {
    /// Address of the word with the four low bytes.
    pub low: u32,
    /// Address of the word with the two high bytes.
    pub high: u32,
    /// How the words become six bytes.
    pub layout: MacLayout,
}

/// How the MAC words become six bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacLayout {
    /// `high[15:0]` then `low[31:0]`, big-endian.
    Plain,
    /// As `Plain`; `high[31:16]` are the two bytes that, put in the middle, make an EUI-64 of the MAC
    /// (chips with IEEE 802.15.4).
    Eui64,
    /// The ESP8266's OTP words: OUI chosen by word 3 or by byte 2 of word 1, then three bytes.
    Esp8266 {
        /// Address of the word that holds a whole OUI, when not zero.
        oui: u32,
    },
}

/// eFuse bits that guard the flash.
#[derive(Debug)]
pub struct Security {
    /// Any of these, from the given revision on, means that secure boot is on.
    pub secure_boot: &'static [(Bits, u16)],
    /// Secure Boot V1 (ESP32 only).
    pub secure_boot_v1: Option<Bits>,
    /// Flash encryption is on when an odd number of these is set.
    pub crypt_count: Option<Bits>,
    /// Encrypted writes by the loader are forbidden.
    pub no_manual_encrypt: Option<Bits>,
    /// Purpose of each key block, block 0 first.
    pub key_purposes: &'static [Bits],
    /// What GET_SECURITY_INFO shows in place of the purpose of a block that holds no keys.
    pub no_purpose: u8,
    /// Sets of purposes: when every purpose of one set is found among the key blocks, there is a key
    /// for flash encryption (one XTS-AES-128 key, or the two halves of an XTS-AES-256 key).
    pub xts_keys: &'static [&'static [u32]],
    /// Name of each key purpose.
    pub purpose_names: &'static [(u32, &'static str)],
    /// Set when the Key Manager holds the flash encryption key.
    pub key_manager: Option<Bits>,
    /// Where the flash encryption key has a block of its own, and no purpose (ESP32, ESP32-C2).
    pub crypt_block: Option<CryptBlock>,
}

/// A flash encryption key in a block of its own.
#[derive(Debug)]
pub struct CryptBlock {
    /// Address of the first of the eight words of the key.
    pub key: u32,
    /// All set when no part of the key can be read; it is then taken to be there. Two bits stand
    /// for the two halves of the block.
    pub key_hidden: Bits,
    /// Clear when the key is the first half of the block alone (ESP32-C2).
    pub whole: Option<Bits>,
    /// How the key is used (ESP32).
    pub config: Option<CryptConfig>,
}

/// The ESP32's FLASH_CRYPT_CONFIG.
#[derive(Debug)]
pub struct CryptConfig {
    /// 0xF in a proper setting.
    pub value: Bits,
    /// Set when the value cannot be read; it is then taken to be right.
    pub hidden: Bits,
}

/// RTC watchdog and super watchdog.
#[derive(Debug)]
pub struct Watchdogs {
    /// RWDT CONFIG0.
    pub config0: u32,
    /// RWDT CONFIG1: time-out of stage 0 in slow-clock cycles.
    pub config1: u32,
    /// RWDT write protection.
    pub protect: u32,
    /// Key that opens the RWDT.
    pub key: u32,
    /// Super watchdog, where there is one.
    pub swd: Option<SuperWatchdog>,
    /// Whether a reset by RWDT works on this chip.
    pub can_reset: bool,
}

/// Super watchdog.
#[derive(Debug)]
pub struct SuperWatchdog {
    /// Configuration register.
    pub config: u32,
    /// Bit that makes it feed itself.
    pub auto_feed: u8,
    /// Write protection.
    pub protect: u32,
    /// Key that opens it.
    pub key: u32,
}

/// Strapping and force-download registers.
#[derive(Debug)]
pub struct Strapping {
    /// GPIO_STRAP.
    pub gpio_strap: u32,
    /// Bit of GPIO_STRAP that is 0 when the boot pin was low.
    pub boot_bit: u8,
    /// Set to force download mode at the next reset, where there is such a bit.
    pub force_download: Option<Bits>,
}

/// Flash sizes, frequencies and encryption units of image headers.
#[derive(Debug)]
pub struct FlashTables {
    /// Size label, header code (high nibble of byte 3, in place) and bytes.
    pub sizes: &'static [FlashSize],
    /// Frequency label and header code (low nibble of byte 3).
    pub frequencies: &'static [(&'static str, u8)],
    /// Unit of encrypted writes in bytes.
    pub encrypted_align: u32,
    /// Whether addresses above 16 MB are reached with 32-bit commands (by a stub).
    pub address_32bit: bool,
    /// eFuse bit of the flash type: set for octal, clear for quad flash.
    pub type_bit: Option<Bits>,
    /// Sources of the flash voltage, first that decides wins; empty: not readable.
    pub voltage: &'static [VoltageRule],
}

/// A flash size as image headers and command lines know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlashSize {
    /// Label, such as `4MB` or `2MB-c1`.
    pub label: &'static str,
    /// Code, in the high nibble of header byte 3.
    pub code: u8,
    /// Bytes.
    pub bytes: u32,
}

/// One source of the flash voltage.
#[derive(Debug)]
pub struct VoltageRule {
    /// As the reference prints it: `RTC_CNTL`, `eFuse`, `a strapping pin`.
    pub source: &'static str,
    /// All of these must equal for the rule to decide.
    pub when: &'static [(Bits, u32)],
    /// The voltage, such as `3.3V` or `OFF`.
    pub volts: &'static str,
}

/// A named address range.
#[derive(Debug)]
pub struct MemoryRange {
    /// Name, such as `IRAM`.
    pub name: &'static str,
    /// Addresses.
    pub range: Range<u32>,
}

/// What a program finds around its CPU.
#[derive(Debug)]
pub struct Machine {
    /// CPU cycles, and the crystal's cycles in the same time, as the ROM's loader leaves the clock.
    pub clock: (u8, u8),
    /// RAM as the CPU sees it. Windows on one bank show the same bytes.
    pub ram: &'static [RamWindow],
    /// The stack pointer with which the ROM's loader starts a program.
    pub stack: u32,
    /// Where the mask ROM is seen.
    pub rom: &'static [Range<u32>],
}

/// A rate of the CPU that needs no more core voltage than that of the ROM's loader.
#[derive(Debug)]
pub struct FastClock {
    /// The crystal that it is made from, in MHz; `None`: any.
    pub crystal_mhz: Option<u8>,
    /// What clocks the UART from then on, in MHz, and has clocked it at the crystal's rate before;
    /// `None`: the same as before.
    pub uart_mhz: Option<u8>,
    /// What has to be set, in this order.
    pub writes: &'static [BitsWrite],
}

/// Bits of a register that are set to a value.
#[derive(Debug, Clone, Copy)]
pub struct BitsWrite {
    /// The bits.
    pub bits: Bits,
    /// Their value.
    pub value: u32,
    /// Least time before, in microseconds.
    pub delay_us: u32,
}

/// RAM at some addresses.
#[derive(Debug)]
pub struct RamWindow {
    /// Addresses.
    pub range: Range<u32>,
    /// Name of the memory behind it.
    pub bank: &'static str,
    /// Where in that memory the first byte is.
    pub offset: u32,
    /// What can be done with it.
    pub access: RamAccess,
}

/// What a CPU can do through a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RamAccess {
    /// Everything.
    Any,
    /// Loads and stores, no code.
    Data,
    /// Everything, but aligned words alone.
    WordOnly,
}

/// RAM that the ROM's loader works in, as some revisions have it.
#[derive(Debug)]
pub struct ReservedRange {
    /// Addresses.
    pub range: Range<u32>,
    /// First chip revision (major * 100 + minor) that has it so.
    pub min_revision: u16,
    /// Last one.
    pub max_revision: u16,
}

/// Behaviour that numbers cannot express. Each is one function in the code, with its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quirk {
    /// ESP8266: attach is FLASH_BEGIN(0, 0); no SPI_ATTACH, SPI_SET_PARAMS, digest or deflate.
    LegacyAttach,
    /// ESP8266: `chip-id` is a number derived from the MAC words ([`Chip::numeric_chip_id`]).
    NumericChipId,
    /// ESP32: SPI_ATTACH takes the pads of the in-package flash from eFuse. Needs `pad_clk`, `pad_q`,
    /// `pad_d`, `pad_hd` and `pad_cs`.
    AttachFromEfuse,
    /// ESP32: the baud rate asked for must be scaled by the ROM's belief about its oscillator. Needs
    /// `rtc_calibration` (slow-clock cycles, from the RTC calibration) and `ck8m` (eFuse trim).
    BaudFromRtcCalibration,
    /// ESP32-P4 v3.1 and v3.2: the flash must be powered through the PMU before it is attached. Needs
    /// `flash_pads`, `flash_limit`, `flash_target`, `flash_tieh`, `flash_on` and `download_xpd`.
    FlashPowerUp,
    /// ESP32-S3 v0.0: with block version 1.1 (fields `block_major`, `block_minor`) and the low three
    /// bits of the minor revision 0, the bits of the major revision mean something else.
    Eco0Revision,
    /// ESP32-S3: the force-download bit is cleared before a hard reset, or the chip stays in its
    /// loader (arduino-esp32 issue 6762).
    ClearForceDownload,
    /// ESP32: its design in an FPGA looks at GPIO0 only seconds after a reset (esptool's
    /// `ESPTOOL_ENV_FPGA`).
    SlowFpga,
    /// ESP32-C2: its loader is not sure to be reached below 115200 bits per second.
    UnsureBelow115200,
    /// ESP32: old bootloaders of ESP-IDF do not map the last page of a segment that ends within its
    /// first 36 bytes.
    ShortLastPage,
}
