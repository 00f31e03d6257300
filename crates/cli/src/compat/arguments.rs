//! Words of the command line, before they are read: older spellings.

use std::ffi::OsString;

use super::commands::DEPRECATED;

/// Replaces older names of options; gives what the user should be told about it.
pub fn rename(words: Vec<OsString>) -> (Vec<OsString>, Vec<String>) {
    let mut warnings = Vec::new();
    let words = words
        .into_iter()
        .map(|word| {
            let text = word.to_string_lossy();
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (&*text, None),
            };
            let Some((old, new)) = DEPRECATED.iter().find(|(old, _)| *old == name) else {
                return word.clone();
            };
            warnings.push(format!(
                "Deprecated: Option '{old}' is deprecated. Use '{new}' instead."
            ));
            match value {
                Some(value) => format!("{new}={value}").into(),
                None => OsString::from(new),
            }
        })
        .collect();
    (words, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[&str]) -> Vec<OsString> {
        text.iter().map(OsString::from).collect()
    }

    #[test]
    fn older_options_are_renamed_and_told() {
        let (renamed, warnings) =
            rename(words(&["--flash_mode=dio", "--flash_size", "keep", "x_y"]));
        assert_eq!(
            renamed,
            words(&["--flash-mode=dio", "--flash-size", "keep", "x_y"])
        );
        assert_eq!(
            warnings[0],
            "Deprecated: Option '--flash_mode' is deprecated. Use '--flash-mode' instead."
        );
        assert_eq!(warnings.len(), 2);
    }
}
