//! Files of arguments: `@flash_args` stands for the words in the file `flash_args`, as build systems
//! write them.

use std::ffi::OsString;
use std::io;

/// Replaces each word `@FILE` by the words of that file, once: what stands in it is taken as it is.
/// `None`: there was none.
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
                let error = io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a quotation mark or a backslash at the end of a line lacks its partner",
                );
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
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
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
    fn what_a_file_holds_is_not_expanded_again_and_has_no_comments() {
        let path = std::env::temp_dir().join(format!("guru-args-twice-{}", std::process::id()));
        std::fs::write(&path, "@other # 'C:\\a b'\n").unwrap();
        let at = format!("@{}", path.display());
        let expanded = expand(&words(&[&at])).unwrap().unwrap();
        assert_eq!(expanded, words(&["@other", "#", "C:\\a b"]));
        std::fs::write(&path, "'open\n").unwrap();
        let (_, error) = expand(&words(&[&at])).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert!(error.to_string().contains("quotation"), "{error}");
    }
}
