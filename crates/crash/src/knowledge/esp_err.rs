//! Error codes of ESP-IDF: numbers to names, for firmware that prints numbers only.

use std::sync::OnceLock;

/// The list that `cargo xtask messages` takes from ESP-IDF's headers: a line each, `0x103
/// ESP_ERR_INVALID_STATE`; lines with `#` are remarks.
const LIST: &str = include_str!("../../data/esp-errors.txt");

/// An error code of ESP-IDF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EspError {
    /// The number, as `esp_err_t` holds it.
    pub code: u32,
    /// The name in the headers, such as `ESP_ERR_INVALID_STATE`.
    pub name: &'static str,
}

/// All of them, in the order of the numbers.
pub fn esp_errors() -> &'static [EspError] {
    static ERRORS: OnceLock<Vec<EspError>> = OnceLock::new();
    ERRORS.get_or_init(|| {
        LIST.lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let (code, name) = line.split_once(' ')?;
                let code = u32::from_str_radix(code.strip_prefix("0x")?, 16).ok()?;
                Some(EspError { code, name })
            })
            .collect()
    })
}

/// The name of a number; where several have it, the first.
pub(super) fn error_name(code: u32) -> Option<&'static str> {
    let errors = esp_errors();
    let at = errors.partition_point(|error| error.code < code);
    errors
        .get(at)
        .filter(|error| error.code == code)
        .map(|error| error.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_names_of_the_headers() {
        assert_eq!(error_name(0x103), Some("ESP_ERR_INVALID_STATE"));
        assert_eq!(error_name(0x110d), Some("ESP_ERR_NVS_NO_FREE_PAGES"));
        assert_eq!(error_name(0xFFFF_FFFF), Some("ESP_FAIL"));
        assert_eq!(error_name(0xDEAD), None);
        assert!(esp_errors().is_sorted_by_key(|error| error.code));
        assert!(esp_errors().len() > 200, "{}", esp_errors().len());
    }
}
