//! Words of the command line, before they are read: files of arguments and older spellings.

use std::ffi::OsString;
use std::io;

use super::commands::DEPRECATED;

/// Replaces `@file` by the words of that file. `None`: there was none.
///
/// # Errors
/// The file that cannot be read, and why.
pub fn expand(words: &[OsString]) -> Result<Option<Vec<OsString>>, (String, io::Error)> {
    let mut expanded = Vec::new();
    let mut any = false;
    for word in words {
        let text = word.to_string_lossy();
        let Some(path) = text.strip_prefix('@') else {
            expanded.push(word.clone());
            continue;
        };
        any = true;
        let lines = std::fs::read_to_string(path).map_err(|error| (path.to_owned(), error))?;
        for line in lines.lines() {
            let words = split(line).ok_or_else(|| {
                let error = io::Error::new(io::ErrorKind::InvalidData, "No closing quotation");
                (path.to_owned(), error)
            })?;
            expanded.extend(words.into_iter().map(OsString::from));
        }
    }
    Ok(any.then_some(expanded))
}

/// Splits a line as a POSIX shell does, without expansions. `None`: a quote is not closed.
fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

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
    fn lines_are_split_as_by_a_shell() {
        assert_eq!(split("a  b\tc").unwrap(), ["a", "b", "c"]);
        assert_eq!(
            split(r#"'a b' "c \" d" e\ f ''"#).unwrap(),
            ["a b", "c \" d", "e f", ""]
        );
        assert_eq!(split(r#""a\n""#).unwrap(), ["a\\n"]);
        assert_eq!(split("'open"), None);
        assert_eq!(split("\"open"), None);
        assert!(split("").unwrap().is_empty());
    }

    #[test]
    fn a_file_of_arguments_takes_its_place() {
        let path = std::env::temp_dir().join(format!("guru-args-{}", std::process::id()));
        std::fs::write(&path, "--flash_mode dio\n0x0 'my boot.bin'\n").unwrap();
        let at = format!("@{}", path.display());
        let expanded = expand(&words(&["write_flash", &at, "x"])).unwrap().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            expanded,
            words(&[
                "write_flash",
                "--flash_mode",
                "dio",
                "0x0",
                "my boot.bin",
                "x"
            ])
        );
        assert_eq!(expand(&words(&["version"])).unwrap(), None);
        assert!(expand(&words(&[&at])).is_err());
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
