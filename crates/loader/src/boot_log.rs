//! What a chip prints when it is reset, as far as it explains why its loader does not answer.

use crate::ConnectFailure;

/// Bytes of a boot log that are looked at.
const MAX_LOG: usize = 8192;

/// Longest name of a panic's cause.
const MAX_CAUSE: usize = 40;

/// What the ROMs say when they wait for a download, in Secure Download Mode too.
const SAYS_WAITING: [&str; 2] = ["waiting for download", "wait uart download(secure mode)"];

/// What the ROMs say when eFuse keeps them from their loader: since the ESP32-S2, and the ESP32's.
const SAYS_DISABLED: [&str; 2] = ["Download boot modes disabled", "Download mode is disabled"];

/// Gathers what came while the loader was waited for.
#[derive(Debug, Default)]
pub(crate) struct BootLog {
    text: Vec<u8>,
}

impl BootLog {
    /// Adds what came outside of packets.
    pub fn take(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
        let excess = self.text.len().saturating_sub(MAX_LOG);
        self.text.drain(..excess);
    }

    /// Whether the last boot led into the loader.
    pub fn shows_loader(&self) -> bool {
        self.verdict() == Some(ConnectFailure::TxPathDown)
    }

    /// Why the loader does not answer, as far as the last boot says.
    pub fn verdict(&self) -> Option<ConnectFailure> {
        let text = String::from_utf8_lossy(&self.text);
        let boot = last_boot(&text);
        if SAYS_DISABLED.iter().any(|line| text.contains(line)) {
            return Some(ConnectFailure::DownloadDisabled(boot.map(|(mode, _)| mode)));
        }
        Some(match boot? {
            (_, true) => ConnectFailure::TxPathDown,
            (mode, false) => ConnectFailure::WrongBootMode(mode),
        })
    }
}

/// What a text that came in place of an answer is; `None`: there is none.
pub(crate) fn what_is(text: &[u8]) -> Option<ConnectFailure> {
    let first = *text.first()?;
    let text = String::from_utf8_lossy(text);
    Some(match panic_in(&text) {
        Some(cause) => ConnectFailure::Panic(cause.to_owned()),
        None => ConnectFailure::Garbage(first),
    })
}

/// The cause of an application's panic, empty where it is not told. ESP-IDF says
/// `Guru Meditation Error: Core  0 panic'ed (LoadProhibited)`, the ESP8266's ROM `Fatal exception (28)`.
fn panic_in(text: &str) -> Option<&str> {
    let (begin, before) = match text.find("uru Meditation Error") {
        Some(begin) => (begin, "panic'ed ("),
        None => (text.find("atal exception (")?, "atal exception ("),
    };
    let cause = text[begin..].split_once(before).and_then(|(_, rest)| {
        let (cause, _) = rest.split_once(')')?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == ' ';
        (cause.len() <= MAX_CAUSE && cause.chars().all(plain)).then_some(cause)
    });
    Some(cause.unwrap_or_default())
}

/// Boot mode of the last `boot:0x..` in a log, and whether the loader ran.
fn last_boot(text: &str) -> Option<(u32, bool)> {
    const MARK: &str = "boot:0x";
    let rest = &text[text.rfind(MARK)? + MARK.len()..];
    let digits = rest
        .find(|c: char| !c.is_ascii_hexdigit())
        .unwrap_or(rest.len());
    let mode = u32::from_str_radix(&rest[..digits], 16).ok()?;
    Some((mode, SAYS_WAITING.iter().any(|line| rest.contains(line))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(log: &str) -> Option<ConnectFailure> {
        let mut boot_log = BootLog::default();
        boot_log.take(log.as_bytes());
        boot_log.verdict()
    }

    #[test]
    fn a_chip_that_ran_its_application_was_in_the_wrong_mode() {
        let log =
            "ESP-ROM:esp32c3-api1-20210207\r\nrst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)\r\n";
        assert_eq!(verdict(log), Some(ConnectFailure::WrongBootMode(0xC)));
    }

    #[test]
    fn a_boot_mode_may_have_more_than_eight_bits() {
        let log = "rst:0x1 (POWERON),boot:0x30f (SPI_FAST_FLASH_BOOT)\r\n";
        assert_eq!(verdict(log), Some(ConnectFailure::WrongBootMode(0x30F)));
    }

    #[test]
    fn a_loader_that_waits_but_does_not_answer_hears_nothing() {
        let log =
            "rst:0x1 (POWERON_RESET),boot:0x3 (DOWNLOAD_BOOT(UART0))\r\nwaiting for download\r\n";
        assert_eq!(verdict(log), Some(ConnectFailure::TxPathDown));
    }

    #[test]
    fn a_chip_whose_loader_is_disabled_says_so() {
        for (text, mode) in [
            (
                "boot:0x5 (DOWNLOAD(USB/UART0/1))\r\nDownload boot modes disabled\r\n",
                Some(0x5),
            ),
            (
                "boot:0x3 (DOWNLOAD_BOOT)\r\nDownload mode is disabled. Restart with GPIO0 high.\r\n",
                Some(0x3),
            ),
            ("les disabled\r\nDownload boot modes disabled\r\n", None),
        ] {
            assert_eq!(verdict(text), Some(ConnectFailure::DownloadDisabled(mode)));
        }
    }

    #[test]
    fn secure_download_mode_waits_too() {
        let log = "rst:0x1 (POWERON),boot:0x5 (DOWNLOAD)\r\nwait uart download(secure mode)\r\n";
        assert_eq!(verdict(log), Some(ConnectFailure::TxPathDown));
    }

    #[test]
    fn noise_and_silence_are_told_apart() {
        assert_eq!(verdict("\u{1}x\u{2}boot:0xzz"), None);
        assert_eq!(what_is(b""), None);
        assert_eq!(what_is(b"\x01x"), Some(ConnectFailure::Garbage(1)));
    }

    #[test]
    fn a_panic_is_known_by_its_words_and_told_with_its_cause() {
        for (text, cause) in [
            (
                "Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception",
                "LoadProhibited",
            ),
            ("\r\nuru Meditation Error: Core  1 panic'ed (Cache", ""),
            ("Fatal exception (28):\nepc1=0x4000", "28"),
            (
                "Guru Meditation Error: Core 0 panic'ed (\x1b[2J). Exception",
                "",
            ),
        ] {
            let expected = ConnectFailure::Panic(cause.to_owned());
            assert_eq!(what_is(text.as_bytes()), Some(expected), "{text}");
        }
    }
}
