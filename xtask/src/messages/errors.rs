//! The error codes of ESP-IDF's headers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::lexer::{Source, Token};

/// Headers with error codes: those of chips' registers and of foreign stacks have none.
pub fn is_header(path: &str) -> bool {
    let big = [
        "components/soc/",
        "components/hal/",
        "components/bt/",
        "components/lwip/",
    ];
    path.ends_with(".h")
        && !path.contains("test")
        && !big.iter().any(|start| path.starts_with(start))
}

/// The list as the crate `crash` reads it.
pub fn list(headers: &[(String, String)], version: &str) -> String {
    let mut values: BTreeMap<String, Vec<Token>> = BTreeMap::new();
    for (_, text) in headers.iter().filter(|(_, text)| text.contains("ESP_")) {
        for (name, mut bodies) in Source::read(text).macros {
            if name.starts_with("ESP_")
                && let Some(body) = bodies.pop()
            {
                values.insert(name, body);
            }
        }
    }
    let mut codes: Vec<(u32, &str)> = values
        .keys()
        .filter(|name| name.starts_with("ESP_ERR_") || *name == "ESP_FAIL")
        .filter(|name| !name.ends_with("_BASE"))
        .filter_map(|name| Some((value(&values, values.get(name)?, 0)?, name.as_str())))
        .collect();
    codes.sort_unstable();
    let mut out = format!(
        "# Error codes of ESP-IDF {version} (Apache-2.0), taken from its headers by `cargo xtask messages`.\n"
    );
    for (code, name) in codes {
        let _ = writeln!(out, "{code:#x} {name}");
    }
    out
}

/// A number, a name, or a sum of them.
fn value(values: &BTreeMap<String, Vec<Token>>, body: &[Token], depth: usize) -> Option<u32> {
    let mut sum = 0_u32;
    let mut minus = false;
    let mut any = false;
    if depth > 4 {
        return None;
    }
    for token in body {
        match token {
            Token::Sign('(' | ')') => {}
            Token::Sign('+') => minus = false,
            Token::Sign('-') => minus = true,
            Token::Word(word) if word == "esp_err_t" => {}
            Token::Word(word) => {
                any = true;
                let number = match word.strip_prefix("0x") {
                    Some(digits) => u32::from_str_radix(digits, 16).ok(),
                    None => word.parse().ok(),
                };
                let number = match number {
                    Some(number) => number,
                    None => value(values, values.get(word)?, depth + 1)?,
                };
                sum = if minus {
                    sum.wrapping_sub(number)
                } else {
                    sum.wrapping_add(number)
                };
            }
            _ => return None,
        }
    }
    any.then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sums_of_numbers_and_names() {
        let header = "#define ESP_FAIL -1 /* no */\n#define ESP_ERR_A_BASE (0x100)\n\
                      #define ESP_ERR_A_B (ESP_ERR_A_BASE + 10)\n#define ESP_ERR_TEXT \"no\"\n";
        let headers = [("a.h".to_owned(), header.to_owned())];
        let text = list(&headers, "v1");
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(lines, ["0x10a ESP_ERR_A_B", "0xffffffff ESP_FAIL"]);
    }
}
