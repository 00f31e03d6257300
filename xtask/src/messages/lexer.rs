//! C as far as messages need it: words, string literals, signs. Comments go; of directives only the texts
//! of macros stay.

use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    Word(String),
    /// A literal, with its escapes undone.
    Text(String),
    Sign(char),
}

impl Token {
    pub fn is(&self, sign: char) -> bool {
        *self == Self::Sign(sign)
    }

    pub fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// A source file.
#[derive(Debug, Default)]
pub struct Source {
    pub tokens: Vec<Token>,
    /// Macros without arguments, each with all its definitions.
    pub macros: BTreeMap<String, Vec<Vec<Token>>>,
}

impl Source {
    pub fn read(text: &str) -> Self {
        let text = without_comments(text);
        let mut source = Self::default();
        let mut code = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(directive) = line.trim_start().strip_prefix('#') else {
                code.push_str(line);
                code.push('\n');
                continue;
            };
            let mut directive = directive.to_owned();
            while directive.ends_with('\\') {
                directive.pop();
                directive.push_str(lines.next().unwrap_or_default());
            }
            source.take_macro(directive.trim_start());
        }
        source.tokens = tokens(&code);
        source
    }

    fn take_macro(&mut self, directive: &str) {
        let Some(definition) = directive.strip_prefix("define") else {
            return;
        };
        let definition = definition.trim_start();
        let end = definition
            .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .unwrap_or(definition.len());
        let (name, body) = definition.split_at(end);
        if !body.starts_with('(') {
            self.macros
                .entry(name.to_owned())
                .or_default()
                .push(tokens(body));
        }
    }
}

fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("/*") {
            let end = rest.find("*/").map_or(rest.len(), |end| end + 2);
            out.extend(rest[..end].chars().filter(|letter| *letter == '\n'));
            out.push(' ');
            rest = &rest[end..];
        } else if letter == '"' || letter == '\'' {
            let end = literal_end(rest, letter);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else {
            out.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    out
}

/// The length of the literal that the text begins with; it ends with its line at the latest.
fn literal_end(text: &str, quote: char) -> usize {
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' {
            letters.next();
        } else if letter == quote || letter == '\n' {
            return at + 1;
        }
    }
    text.len()
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = code;
    while let Some(letter) = rest.chars().next() {
        let length = if letter == '"' {
            let end = literal_end(rest, '"');
            let inner = rest.get(1..end.saturating_sub(1)).unwrap_or_default();
            tokens.push(Token::Text(unescape(inner)));
            end
        } else if letter == '\'' {
            literal_end(rest, '\'')
        } else if letter.is_alphanumeric() || letter == '_' {
            let end = rest
                .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
                .unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            end
        } else {
            if !letter.is_whitespace() {
                tokens.push(Token::Sign(letter));
            }
            letter.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

fn unescape(literal: &str) -> String {
    let mut out = String::new();
    let mut letters = literal.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('b') => drop(out.pop()),
            Some('0') | None => {}
            Some(other) => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_literals_stay() {
        let source = Source::read("a(\"x // \\\"y\\n\"); // \"no\"\n/* \"no\" */ b ('\"');");
        let texts: Vec<_> = source
            .tokens
            .iter()
            .filter(|token| matches!(token, Token::Text(_)))
            .collect();
        assert_eq!(texts, [&Token::Text("x // \"y\n".to_owned())]);
    }

    #[test]
    fn a_macro_keeps_each_of_its_definitions() {
        let source =
            Source::read("#if X\n#define A \"one\"\n#else\n#define A \\\n \"two\"\n#endif\n");
        let texts = [
            vec![Token::Text("one".to_owned())],
            vec![Token::Text("two".to_owned())],
        ];
        assert_eq!(source.macros["A"], texts);
        assert!(source.tokens.is_empty());
    }
}
