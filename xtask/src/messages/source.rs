//! The messages of one source file.

use std::collections::{BTreeMap, BTreeSet};

use super::lexer::{Source, Token};
use super::list::{Found, Kind};
use super::rules::{self, Printer};

/// Letters that a text must have outside of placeholders to say anything.
const MIN_LETTERS: usize = 5;

/// Texts that a variable or a macro can have at most: more is no message.
const MAX_ALTERNATIVES: usize = 8;

/// All messages of a file.
pub fn messages(path: &str, text: &str) -> Vec<Found> {
    if path.ends_with("reset_reasons.h") {
        return resets(path, text);
    }
    let source = Source::read(text);
    let mut reader = Reader {
        variables: variables(&source),
        tag: None,
        scope: scope(path),
        is_panic_handler: path.contains("panic"),
        found: Vec::new(),
        source: &source,
    };
    reader.tag = reader
        .variables
        .get("TAG")
        .and_then(|texts| texts.first().cloned());
    reader.calls();
    reader.tables();
    reader.framed();
    reader.ubsan();
    reader.found
}

struct Reader<'s> {
    source: &'s Source,
    /// Texts of variables.
    variables: BTreeMap<String, Vec<String>>,
    tag: Option<String>,
    scope: BTreeSet<String>,
    /// Whether the file is a panic handler: elsewhere, reasons are others.
    is_panic_handler: bool,
    found: Vec<Found>,
}

impl Reader<'_> {
    fn push(&mut self, kind: Kind, text: &str, tag: Option<String>) {
        for line in text.split(['\n', '\r']) {
            if letters(line) < MIN_LETTERS || !rules::is_message(line) {
                continue;
            }
            self.found.push(Found {
                kind,
                text: line.to_owned(),
                tag: tag.clone(),
                code: None,
                scope: self.scope.clone(),
            });
        }
    }

    /// Calls of functions that print. Calls in a row make up lines together.
    fn calls(&mut self) {
        let source = self.source;
        let mut row = vec![String::new()];
        let mut at = 0;
        while let Some(token) = source.tokens.get(at) {
            let call = token
                .word()
                .and_then(rules::printer)
                .and_then(|printer| Some((printer, arguments(&source.tokens, at + 1)?)));
            let Some((printer, (arguments, end))) = call else {
                self.end_row(&mut row);
                at += 1;
                continue;
            };
            let texts = |at: usize| arguments.get(at).map_or_else(Vec::new, |a| self.texts(a));
            match printer {
                Printer::Log => {
                    let mut formats = texts(1);
                    if formats == ["%s"] && !texts(2).is_empty() {
                        formats = texts(2);
                    }
                    let tag = match arguments.first().map(|tag| self.texts(tag)) {
                        Some(tags) if tags.len() == 1 => tags.into_iter().next(),
                        _ => self.tag.clone(),
                    };
                    self.end_row(&mut row);
                    for format in formats {
                        self.push(Kind::Line, &format, tag.clone());
                    }
                }
                Printer::Prefixed => {
                    let formats = texts(0);
                    self.end_row(&mut row);
                    for format in formats {
                        self.push(Kind::Line, &format, self.tag.clone());
                    }
                }
                Printer::Abort => {
                    let formats = texts(0);
                    self.end_row(&mut row);
                    for format in formats {
                        self.push(Kind::Line, &format, None);
                    }
                }
                Printer::Format | Printer::Text => {
                    let formats = texts(0);
                    let unknown = ["%s".to_owned()];
                    extend(
                        &mut row,
                        if formats.is_empty() {
                            &unknown
                        } else {
                            &formats
                        },
                    );
                }
                Printer::Hex => extend(&mut row, &["%08x".to_owned()]),
                Printer::Decimal => extend(&mut row, &["%d".to_owned()]),
                Printer::Letter => extend(&mut row, &["%c".to_owned()]),
            }
            at = end;
            if source.tokens.get(at).is_some_and(|token| token.is(';')) {
                at += 1;
            }
        }
        self.end_row(&mut row);
    }

    fn end_row(&mut self, row: &mut Vec<String>) {
        for text in std::mem::replace(row, vec![String::new()]) {
            self.push(Kind::Line, &text, None);
        }
    }

    /// Texts of tables, of fields and of variables that are printed as they are.
    fn tables(&mut self) {
        let tokens = &self.source.tokens;
        for (at, token) in tokens.iter().enumerate() {
            let Some(kind) = token.word().and_then(rules::table) else {
                continue;
            };
            if kind == Kind::Reason && !self.is_panic_handler {
                continue;
            }
            // NAME [SIZE] = { texts } or NAME = text
            let mut next = at + 1;
            if tokens.get(next).is_some_and(|token| token.is('[')) {
                next = tokens[next..]
                    .iter()
                    .position(|token| token.is(']'))
                    .map_or(tokens.len(), |end| next + end + 1);
            }
            if !tokens.get(next).is_some_and(|token| token.is('=')) {
                continue;
            }
            next += 1;
            if !tokens.get(next).is_some_and(|token| token.is('{')) {
                let end = tokens[next..]
                    .iter()
                    .position(|token| token.is(';') || token.is(',') || token.is('}'))
                    .map_or(tokens.len(), |end| next + end);
                for text in self.texts(&tokens[next..end]) {
                    self.push(kind, &text, None);
                }
                continue;
            }
            let end = tokens[next..]
                .iter()
                .position(|token| token.is('}'))
                .map_or(tokens.len(), |end| next + end);
            for token in &tokens[next..end] {
                if let Token::Text(text) = token {
                    self.push(kind, text, None);
                }
            }
        }
    }

    /// Messages that macros begin and end.
    fn framed(&mut self) {
        for (start, middle, end) in rules::FRAMED {
            let text = |name: &str| {
                let body = self.source.macros.get(name)?.first()?;
                self.texts(body).into_iter().next()
            };
            let Some(start) = text(start) else { continue };
            let end = match end {
                None => String::new(),
                Some(end) => match text(end) {
                    Some(end) if end.ends_with(' ') => end + "%d",
                    Some(end) => end,
                    None => continue,
                },
            };
            self.push(Kind::Line, &format!("{start}{middle}{end}"), None);
        }
    }

    /// The kinds of undefined behaviour: the message ends with the handler's name.
    fn ubsan(&mut self) {
        let says_so = self
            .source
            .tokens
            .contains(&Token::Text(rules::UBSAN_MESSAGE.to_owned()));
        if !says_so {
            return;
        }
        let kinds: BTreeSet<String> = self
            .source
            .tokens
            .iter()
            .filter_map(|token| token.word()?.strip_prefix(rules::UBSAN))
            .filter(|kind| !kind.is_empty())
            .map(str::to_owned)
            .collect();
        for kind in kinds {
            self.push(Kind::Line, &format!("{}{kind}", rules::UBSAN_MESSAGE), None);
        }
    }

    /// What an expression can be as a text; empty where that is not known.
    fn texts(&self, expression: &[Token]) -> Vec<String> {
        let mut texts = vec![String::new()];
        let mut literal = false;
        for token in expression {
            match token {
                Token::Text(text) => {
                    literal = true;
                    extend(&mut texts, std::slice::from_ref(text));
                }
                Token::Word(word) => {
                    if let Some(letter) = conversion(word) {
                        extend(&mut texts, &[letter.to_owned()]);
                    } else if let Some(known) = self.word_texts(word) {
                        literal = true;
                        extend(&mut texts, &known);
                    } else if !is_wrapper(word) {
                        return Vec::new();
                    }
                }
                Token::Sign('(' | ')') => {}
                Token::Sign(_) => return Vec::new(),
            }
        }
        if literal { texts } else { Vec::new() }
    }

    fn word_texts(&self, word: &str) -> Option<Vec<String>> {
        if let Some(texts) = self.variables.get(word) {
            return Some(texts.clone());
        }
        let texts: Vec<String> = self
            .source
            .macros
            .get(word)?
            .iter()
            .filter(|body| !body.iter().any(|token| token.word() == Some(word)))
            .flat_map(|body| self.texts(body))
            .collect();
        (!texts.is_empty()).then_some(texts)
    }
}

/// Each text with each of the ends.
fn extend(texts: &mut Vec<String>, ends: &[String]) {
    *texts = texts
        .iter()
        .flat_map(|text| ends.iter().map(move |end| format!("{text}{end}")))
        .take(MAX_ALTERNATIVES)
        .collect();
}

/// Macros that only say where a text lies.
fn is_wrapper(word: &str) -> bool {
    word == "DRAM_STR" || (word.starts_with("ESP_LOG_ATTR") && word.ends_with("STR"))
}

/// The letters that the macros of `inttypes.h` stand for.
fn conversion(word: &str) -> Option<&'static str> {
    let kind = word.strip_prefix("PRI")?;
    Some(match kind.chars().next()? {
        'x' => "x",
        'X' => "X",
        'u' => "u",
        'd' | 'i' => "d",
        _ => return None,
    })
}

/// The arguments of a call whose bracket is at this place, and where it ends.
fn arguments(tokens: &[Token], open: usize) -> Option<(Vec<&[Token]>, usize)> {
    if !tokens.get(open)?.is('(') {
        return None;
    }
    let mut depth = 0_usize;
    let mut start = open + 1;
    let mut arguments = Vec::new();
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Sign('(' | '{' | '[') => depth += 1,
            Token::Sign(')' | '}' | ']') => {
                depth -= 1;
                if depth == 0 {
                    arguments.push(&tokens[start..at]);
                    return Some((arguments, at + 1));
                }
            }
            Token::Sign(',') if depth == 1 => {
                arguments.push(&tokens[start..at]);
                start = at + 1;
            }
            Token::Sign(';') => return None,
            _ => {}
        }
    }
    None
}

/// Variables with a text: `char *NAME = "text"`, `char NAME[] = "text"`, `ESP_LOG_ATTR_TAG(NAME, "text")`.
fn variables(source: &Source) -> BTreeMap<String, Vec<String>> {
    let mut variables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let tokens = &source.tokens;
    for (at, token) in tokens.iter().enumerate() {
        let Some(name) = token.word() else {
            continue;
        };
        if name.starts_with("ESP_LOG_ATTR_TAG")
            && let Some((arguments, _)) = arguments(tokens, at + 1)
            && let [[Token::Word(name)], [Token::Text(text)]] = arguments[..]
        {
            variables
                .entry(name.clone())
                .or_default()
                .push(text.clone());
            continue;
        }
        let mut next = at + 1;
        if tokens.get(next).is_some_and(|token| token.is('['))
            && tokens.get(next + 1).is_some_and(|token| token.is(']'))
        {
            next += 2;
        } else if !(at > 0 && tokens[at - 1].is('*')) {
            continue;
        }
        if !tokens.get(next).is_some_and(|token| token.is('=')) {
            continue;
        }
        let text: String = tokens[next + 1..]
            .iter()
            .map_while(|token| match token {
                Token::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        if !text.is_empty() {
            variables.entry(name.to_owned()).or_default().push(text);
        }
    }
    variables
}

/// The chip or the family that a path names.
fn scope(path: &str) -> BTreeSet<String> {
    path.split(['/', '.'])
        .flat_map(|part| part.split('_'))
        .filter(|part| {
            *part == "xtensa"
                || *part == "riscv"
                || guru_chip::by_id(part).is_some_and(|_| part.starts_with("esp32"))
        })
        .map(str::to_owned)
        .collect()
}

/// `RESET_REASON_NAME = 0x01` of a chip's header.
fn resets(path: &str, text: &str) -> Vec<Found> {
    let source = Source::read(text);
    source
        .tokens
        .windows(3)
        .filter_map(|three| {
            let [Token::Word(name), Token::Sign('='), Token::Word(code)] = three else {
                return None;
            };
            let code = code.strip_prefix("0x")?;
            Some(Found {
                kind: Kind::ResetCode,
                text: name.strip_prefix("RESET_REASON_")?.to_owned(),
                tag: None,
                code: u8::from_str_radix(code, 16).ok(),
                scope: scope(path),
            })
        })
        .collect()
}

/// Letters outside of placeholders.
fn letters(text: &str) -> usize {
    let mut count = 0;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '%' {
            // Flags, width and length go to the conversion's letter.
            let conversion = letters
                .by_ref()
                .find(|letter| "diuxXpsc%".contains(*letter));
            if conversion.is_none() {
                break;
            }
        } else if letter.is_alphabetic() {
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(code: &str) -> Vec<String> {
        let found = messages("components/esp_system/panic.c", code);
        found.into_iter().map(|found| found.text).collect()
    }

    #[test]
    fn calls_in_a_row_make_up_lines() {
        let code = "panic_print_str(\"Core \"); panic_print_dec(core); panic_print_str(\" died at 0x\");\
                    panic_print_hex(pc); panic_print_str(\"\\r\\nNext line\\r\\n\"); f(); \
                    panic_print_str(why);";
        assert_eq!(lines(code), ["Core %d died at 0x%08x", "Next line"]);
    }

    #[test]
    fn a_log_line_takes_its_tag_and_its_alternatives() {
        let code = "#define END \"one\"\n#define END \"other\"\nstatic const char *TAG = \"boot\";\n\
                    void f() { ESP_LOGE(TAG, \"bad %\" PRIx32 \" of \" END, x); ESP_LOGI(TAG, \"fine\"); }";
        assert_eq!(lines(code), ["bad %x of one", "bad %x of other"]);
        assert_eq!(messages("x.c", code)[0].tag.as_deref(), Some("boot"));
    }

    #[test]
    fn tables_and_frames_are_read() {
        let code = "#define ERR_STR1 \"task \"\n#define ERR_STR2 \" is over.\"\n\
                    const char *reason[] = { \"res\", \"Alloca\", NULL };\n t x = { .msg = \"Cache broken\" };";
        assert_eq!(lines(code), ["Alloca", "Cache broken", "task %s is over."]);
    }
}
