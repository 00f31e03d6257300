//! ESP-IDF's `sdkconfig`: what a firmware was built with.

use std::collections::BTreeMap;

/// The settings that a firmware was built with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sdkconfig {
    values: BTreeMap<String, String>,
}

/// More than this many settings are no file of ESP-IDF (it has about 3,000).
const MAX_SETTINGS: usize = 50_000;
/// Longest name and value that are kept, in bytes.
const MAX_LENGTH: usize = 4096;

impl Sdkconfig {
    /// Reads the text of the file. Lines that are none of its are passed over; `None`: there is not
    /// one that is.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut values = BTreeMap::new();
        for line in text.lines() {
            if let Some((name, value)) = setting(line.trim())
                && values.len() < MAX_SETTINGS
                && value.len() <= MAX_LENGTH
            {
                // Names of older versions stand behind the others and repeat some: the first counts.
                values
                    .entry(name.to_owned())
                    .or_insert_with(|| value.to_owned());
            }
        }
        (!values.is_empty()).then_some(Self { values })
    }

    /// The value of a setting as it stands there, without quotation marks; `n` where it is said to be
    /// off. `None`: it is not in the file.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Whether it is on; `None`: it is not in the file.
    #[must_use]
    pub fn is_on(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| value == "y")
    }

    /// A number, decimal or with 0x.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        let value = self.get(name)?;
        match value.strip_prefix("0x").or(value.strip_prefix("0X")) {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => value.parse().ok(),
        }
    }

    /// The chip that the firmware is for, as ESP-IDF calls it.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.get("CONFIG_IDF_TARGET")
    }
}

/// `CONFIG_X=value` or `# CONFIG_X is not set`.
fn setting(line: &str) -> Option<(&str, &str)> {
    let is_name = |name: &str| {
        name.starts_with("CONFIG_")
            && name.len() <= MAX_LENGTH
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let (name, value) = match line.strip_prefix("# ") {
        Some(comment) => (comment.strip_suffix(" is not set")?, "n"),
        None => line.split_once('=')?,
    };
    let quoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    is_name(name).then_some((name, quoted.unwrap_or(value)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn settings_are_read_and_anything_else_is_passed_over() {
        let config = Sdkconfig::parse(
            "#\n# Automatically generated file\n#\nCONFIG_IDF_TARGET=\"esp32c3\"\n\
             CONFIG_ESP_INT_WDT_TIMEOUT_MS=300\r\n# CONFIG_ESP_PANIC_HANDLER_IRAM is not set\n\
             CONFIG_ESP_INT_WDT=y\nCONFIG_ESP_INT_WDT=n\nmakefile nonsense = y\nCONFIG_X-Y=1\n",
        )
        .unwrap();
        assert_eq!(config.target(), Some("esp32c3"));
        assert_eq!(config.number("CONFIG_ESP_INT_WDT_TIMEOUT_MS"), Some(300));
        assert_eq!(config.is_on("CONFIG_ESP_PANIC_HANDLER_IRAM"), Some(false));
        assert_eq!(config.is_on("CONFIG_ESP_INT_WDT"), Some(true));
        assert_eq!(config.is_on("CONFIG_HEAP_POISONING_LIGHT"), None);
        assert_eq!(config.get("CONFIG_X-Y"), None);
    }

    #[test]
    fn a_file_of_something_else_is_no_sdkconfig() {
        assert_eq!(Sdkconfig::parse("int main(void) { return 0; }\n"), None);
        assert_eq!(Sdkconfig::parse(""), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(text: String) {
            let _ = Sdkconfig::parse(&text);
        }
    }
}
