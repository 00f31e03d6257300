use std::time::Duration;

use guru_chip::Chip;
use guru_image::{Contents, FlashMode};
use guru_link::ResetSequence;
use guru_wire::Timeouts;

/// How to reach a chip and how to behave on the line.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Chip that must be there; `None`: find out.
    pub chip: Option<&'static Chip>,
    /// Whether part, features and MAC are read, and the baud rate is set. Without that nothing is asked
    /// for but which chip it is: for a loader that may know few commands.
    pub identify: bool,
    /// How the chip is brought into its loader.
    pub before: Before,
    /// Attempts at reset and SYNC; `None`: without end.
    pub attempts: Option<u32>,
    /// Baud rate for the work, in bits per second; the connection itself is made at no more than
    /// 115200. `None`: the highest that the adapter is known to be safe at.
    pub baud: Option<u32>,
    /// Sequence in place of the built-in ones.
    pub reset: Option<ResetSequence>,
    /// Sequence in place of the built-in hard reset.
    pub hard_reset: Option<ResetSequence>,
    /// How long GPIO0 is held low after reset; `None`: 50 ms and 550 ms in turn.
    pub reset_delay: Option<Duration>,
    /// How long answers may take.
    pub timeouts: Timeouts,
    /// Attempts at one block, or one sector on a bad line.
    pub block_attempts: u32,
    /// Voltage of the flash regulator that overrides eFuse and strapping (ESP32).
    pub override_vddsdio: Option<VddSdio>,
    /// Where a flasher stub comes from; `None`: the ROM's loader does everything.
    pub stub: Option<guru_stub::Source>,
    /// What becomes of a watchdog reset that the chip does not have.
    pub no_such_reset: NoSuchReset,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            chip: None,
            identify: true,
            before: Before::DefaultReset,
            attempts: Some(7),
            baud: None,
            reset: None,
            hard_reset: None,
            reset_delay: None,
            timeouts: Timeouts::default(),
            block_attempts: 3,
            override_vddsdio: None,
            stub: None,
            no_such_reset: NoSuchReset::default(),
        }
    }
}

/// How the chip is brought into its loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Before {
    /// By DTR and RTS, in the way that suits the port.
    #[default]
    DefaultReset,
    /// By the USB-Serial/JTAG peripheral.
    UsbReset,
    /// Not at all: it is there already.
    NoReset,
    /// Not at all, and it is known to be synchronized at the present baud rate.
    NoResetNoSync,
}

/// How the chip is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum After {
    /// Reset by RTS, or by what replaces it for this chip and port.
    #[default]
    HardReset,
    /// The loader is asked to start the application (ESP8266).
    SoftReset,
    /// It stays in its loader.
    NoReset,
    /// It stays in the flasher stub; without one, in its loader.
    NoResetStub,
    /// Reset by its watchdog.
    WatchdogReset,
    /// Held in reset by RTS, which stays asserted when the port is closed.
    HoldInReset,
}

/// What becomes of a way to leave the chip that it does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoSuchReset {
    /// It is refused before the job begins.
    #[default]
    Refuse,
    /// The chip is reset by RTS instead, and that is said.
    HardReset,
}

/// Setting of the ESP32's flash regulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VddSdio {
    /// 1.8 V.
    V1_8,
    /// 1.9 V, for long lines.
    V1_9,
    /// Off.
    Off,
}

/// Where the flash is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpiConnection {
    /// The chip's own choice.
    #[default]
    Default,
    /// The second set of pins (ESP32).
    Hspi,
    /// These GPIOs.
    Pins {
        /// Clock.
        clk: u8,
        /// Data from the flash.
        q: u8,
        /// Data to the flash.
        d: u8,
        /// Hold.
        hd: u8,
        /// Chip select.
        cs: u8,
    },
}

/// Flash size as the user gives it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FlashSizeOption {
    /// Found by id, told to the loader, but not written into an image.
    #[default]
    Keep,
    /// Found by id and written into an image.
    Detect,
    /// This label, such as `4MB`, told to the loader and written into an image.
    Set(String),
}

/// Connection and size of the flash for a command.
#[derive(Debug, Clone, Default)]
pub struct FlashOptions {
    /// Pins.
    pub connection: SpiConnection,
    /// Size.
    pub size: FlashSizeOption,
}

/// One file that is to be in flash.
#[derive(Debug, Clone)]
pub struct FilePart {
    /// Name for messages.
    pub name: String,
    /// First byte in flash.
    pub address: u32,
    /// What shall be there.
    pub contents: Contents,
    /// Whether the chip shall encrypt it.
    pub encrypt: bool,
    /// What is believed to be there (`--diff-with`): only sectors that differ from it are written.
    /// Without effect on a file that the chip encrypts.
    pub previous: Option<Contents>,
}

impl FilePart {
    /// Flash address behind the last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        u64::from(self.address) + u64::from(self.contents.len())
    }
}

/// What to write, and how.
#[derive(Debug, Clone, Default)]
pub struct WriteRequest {
    /// The files, in any order.
    pub files: Vec<FilePart>,
    /// Pins and size of the flash.
    pub flash: FlashOptions,
    /// New flash mode for an image at the bootloader's place.
    pub mode: Option<FlashMode>,
    /// New flash frequency for an image at the bootloader's place, such as `40m`.
    pub frequency: Option<String>,
    /// Erase the whole chip first.
    pub erase_all: bool,
    /// Override guards and compatibility checks.
    pub force: bool,
    /// Write encrypted although eFuse does not look prepared for it.
    pub ignore_encryption_efuse: bool,
    /// Believe that [`FilePart::previous`] is in flash without asking.
    pub trust_flash_content: bool,
    /// How data go over the line.
    pub compress: Compress,
    /// Contents are prepared for a stub: it inflates on chips whose ROM does not, or not exactly.
    pub by_stub: bool,
    /// Whether contents that are in place already are found by digest and left alone.
    pub skip: Skip,
    /// How the result is verified.
    pub verify: Verify,
    /// Compare digests of what lies outside of the written ranges before and after.
    pub guard: bool,
}

/// How data go over the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compress {
    /// Compressed where the chip can and where it pays.
    #[default]
    Auto,
    /// Raw.
    Never,
}

/// Whether contents that are in place already are left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Skip {
    /// Whole files and parts of files.
    #[default]
    Parts,
    /// Whole files only (`--skip-flashed`).
    Files,
    /// Everything is written.
    Never,
}

/// How the result of a write is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// By digest where the ROM has one; else not, and that is said.
    #[default]
    Digest,
    /// By digest where the ROM has one, and by reading every byte back.
    ReadBack,
    /// As [`Digest`](Self::Digest), but by the ROM, whoever has written.
    Rom,
    /// Not at all.
    Never,
}

/// What to compare with flash.
#[derive(Debug, Clone, Default)]
pub struct VerifyRequest {
    /// The files.
    pub files: Vec<FilePart>,
    /// Pins and size of the flash.
    pub flash: FlashOptions,
    /// As for a write: the header that a write would have made is what is compared.
    pub mode: Option<FlashMode>,
    /// As for a write.
    pub frequency: Option<String>,
    /// Read mismatching regions and tell each differing byte.
    pub diff: bool,
}
