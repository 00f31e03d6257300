//! Names of symbols as people know them, and the crate that a Rust symbol is from.

use std::fmt::{self, Write};

use cpp_demangle::Symbol;

/// The most that is kept of a name, in bytes: a few bytes can stand for very long ones.
const MAX_NAME: usize = 512;

/// The longest mangled name that is looked into, in bytes.
const MAX_MANGLED: usize = 4096;

/// Paths of a mangled name that are gone into.
const MAX_DEPTH: u32 = 32;

/// What rustc names constants without a name; numbers and hashes follow, which change with each
/// build.
const ANONYMOUS: [&str; 3] = [".Lanon.", "anon.", "__unnamed_"];

/// A symbol's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// For people, without hashes.
    pub text: String,
    /// The crate in which it is written, if it is Rust.
    pub krate: Option<String>,
}

impl Name {
    /// Of a name as it stands in a file: of Rust, of C++, or plain. At most about 500 bytes are
    /// kept.
    #[must_use]
    pub fn of(raw: &[u8]) -> Self {
        let text = String::from_utf8_lossy(raw);
        let plain = |text: &str| Self {
            text: cut(text),
            krate: None,
        };
        if ANONYMOUS.iter().any(|start| text.starts_with(start)) {
            return plain("(anonymous constants)");
        }
        if text.len() > MAX_MANGLED {
            return plain(&text);
        }
        if let Ok(name) = rustc_demangle::try_demangle(&text)
            && (text.contains("_R") || is_legacy(&text))
        {
            // Without the hash; behind what the compiler appends to copies there is nothing.
            let text_of_it = limited(&format_args!("{name:#}"));
            let krate = v0_crate(&text).or_else(|| first_crate(&text_of_it));
            return Self {
                text: text_of_it,
                krate,
            };
        }
        if text.starts_with("_Z")
            && let Ok(symbol) = Symbol::new(raw)
            && let Ok(name) = symbol.demangle()
        {
            return plain(&name);
        }
        plain(&text)
    }
}

/// The start of a name that is too long.
fn cut(text: &str) -> String {
    limited(&text)
}

/// What is shown, up to a limit.
fn limited(shown: &dyn fmt::Display) -> String {
    struct Limited(String);
    impl Write for Limited {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for character in text.chars() {
                if self.0.len() >= MAX_NAME {
                    self.0.push('…');
                    return Err(fmt::Error);
                }
                self.0.push(character);
            }
            Ok(())
        }
    }
    let mut text = Limited(String::new());
    let _ = write!(text, "{shown}");
    text.0
}

/// Whether a name that may be C++ as well ends with the hash of rustc.
fn is_legacy(mangled: &str) -> bool {
    let hash = |at: usize| {
        let digits = mangled.get(at + 3..at + 19);
        digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    mangled.rfind("17h").is_some_and(hash)
}

/// The first path in a demangled name that leads to a crate; in `<T as Trait>` the type counts more
/// than the trait.
fn first_crate(demangled: &str) -> Option<String> {
    let mut rest = demangled;
    while let Some(at) = rest.find("::") {
        let before = rest.get(..at)?;
        let start = before.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let name = start.map_or(before, |start| {
            let behind = start + before[start..].chars().next().map_or(1, char::len_utf8);
            before.get(behind..).unwrap_or_default()
        });
        if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return Some(name.to_owned());
        }
        rest = rest.get(at + 2..)?;
    }
    None
}

/// The crate by a name of the newer form (RFC 2603): that of the innermost path, or of the
/// implementation that holds it.
fn v0_crate(mangled: &str) -> Option<String> {
    let path = mangled
        .strip_prefix("_R")
        .or_else(|| mangled.strip_prefix("__R"))
        .or_else(|| mangled.strip_prefix('R'))?;
    V0 {
        text: path.as_bytes(),
        at: 0,
    }
    .krate(MAX_DEPTH)
}

/// A reader of the newer form, behind its prefix.
struct V0<'a> {
    text: &'a [u8],
    at: usize,
}

impl V0<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = *self.text.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn krate(mut self, depth: u32) -> Option<String> {
        let depth = depth.checked_sub(1)?;
        match self.next()? {
            b'C' => self.identifier(),
            // A namespace stands before the path.
            b'N' => {
                self.next()?;
                self.krate(depth)
            }
            b'I' => self.krate(depth),
            b'M' | b'X' => {
                self.disambiguator()?;
                self.krate(depth)
            }
            b'B' => {
                self.at = self.base_62()?;
                self.krate(depth)
            }
            // `<T as Trait>`: the type is not a path.
            _ => None,
        }
    }

    fn disambiguator(&mut self) -> Option<()> {
        if self.text.get(self.at) == Some(&b's') {
            self.at += 1;
            self.base_62()?;
        }
        Some(())
    }

    /// `_` is 0, `0_` is 1.
    fn base_62(&mut self) -> Option<usize> {
        if self.text.get(self.at) == Some(&b'_') {
            self.at += 1;
            return Some(0);
        }
        let mut value = 0_usize;
        loop {
            let digit = match self.next()? {
                b'_' => return value.checked_add(1),
                byte @ b'0'..=b'9' => byte - b'0',
                byte @ b'a'..=b'z' => byte - b'a' + 10,
                byte @ b'A'..=b'Z' => byte - b'A' + 36,
                _ => return None,
            };
            value = value.checked_mul(62)?.checked_add(digit.into())?;
        }
    }

    fn identifier(&mut self) -> Option<String> {
        self.disambiguator()?;
        let mut len = 0_usize;
        while let Some(digit @ b'0'..=b'9') = self.text.get(self.at) {
            len = len.checked_mul(10)?.checked_add((digit - b'0').into())?;
            self.at += 1;
        }
        if self.text.get(self.at) == Some(&b'_') {
            self.at += 1;
        }
        let name = self.text.get(self.at..self.at.checked_add(len)?)?;
        let name = std::str::from_utf8(name).ok()?;
        (!name.is_empty()).then(|| name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(raw: &str) -> (String, Option<String>) {
        let name = Name::of(raw.as_bytes());
        (name.text, name.krate)
    }

    #[test]
    fn rust_names_lose_their_hash_and_tell_their_crate() {
        for (raw, text, krate) in [
            (
                "_ZN4core9panicking5panic17hef54c23adbace04bE",
                "core::panicking::panic",
                "core",
            ),
            ("_ZN3log5STATE17h752362fbec110cceE.0", "log::STATE.0", "log"),
            (
                "_ZN45_$LT$u32$u20$as$u20$esp_hal..clock..Clock$GT$4tick17h752362fbec110cceE",
                "<u32 as esp_hal::clock::Clock>::tick",
                "esp_hal",
            ),
            (
                "_RNvCs15kBYyAo9fc_7mycrate7example",
                "mycrate::example",
                "mycrate",
            ),
            (
                "_RNvMs_CskwGfYPst2Cb_3fooNtB4_3Bar3baz",
                "<foo::Bar>::baz",
                "foo",
            ),
            (
                "_RINvNtC3std3mem8align_ofjE",
                "std::mem::align_of::<usize>",
                "std",
            ),
        ] {
            let expected = (text.to_owned(), Some(krate.to_owned()));
            assert_eq!(of(raw), expected, "{raw}");
        }
    }

    #[test]
    fn other_names_have_no_crate() {
        for (raw, text) in [
            ("app_main", "app_main"),
            ("_ZN3foo3barEv", "foo::bar()"),
            ("_ZN3foo3barE", "foo::bar"),
            ("_ZTV6Widget", "{vtable(Widget)}"),
            ("_Znonsense", "_Znonsense"),
            (".Lanon.ab9f.7", "(anonymous constants)"),
            ("", ""),
        ] {
            assert_eq!(of(raw), (text.to_owned(), None), "{raw}");
        }
    }

    #[test]
    fn a_name_that_grows_when_demangled_is_cut() {
        // Each tuple holds the one before twice.
        let tuples: String = (0..60).map(|_| "TB7_B7_E").collect();
        for name in ["x".repeat(100_000), format!("_RIC1aT{tuples}EE")] {
            assert!(of(&name).0.len() <= MAX_NAME + 4);
        }
    }

    proptest! {
        #[test]
        fn no_name_is_too_much(raw in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Name::of(&raw);
        }

        #[test]
        fn no_mangled_name_is_too_much(rest in "[_A-Za-z0-9$.]{0,60}") {
            for prefix in ["_R", "_ZN", "_Z", "__R"] {
                let text = Name::of(format!("{prefix}{rest}").as_bytes()).text;
                prop_assert!(text.len() <= MAX_NAME + 4);
            }
        }
    }
}
