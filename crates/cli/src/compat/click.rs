//! Command lines by the rules of Click, the library that the predecessor reads them with.

use std::ffi::OsString;
use std::fmt::Write;

/// An option of a command.
#[derive(Debug)]
pub struct Opt {
    /// Long name with its hyphens, such as `--flash-mode`.
    pub long: &'static str,
    /// Short name, such as `-fm`; empty: none.
    pub short: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// Variable of the environment that stands in for it.
    pub env: &'static str,
}

/// What an option takes.
#[derive(Debug, Clone, Copy)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// One value.
    One(Value),
    /// Every word up to the next option or command.
    Words(Value),
}

/// What a value must look like.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    /// Anything.
    Text,
    /// A number in any base.
    Integer,
    /// A number in any base that is a multiple of 4.
    Chunk,
    /// A number in any base, with k or M, or ALL.
    Size,
    /// A number in any base, with k or M.
    Bytes,
    /// A decimal baud rate.
    Baud,
    /// A decimal number, with a sign or not.
    Decimal,
    /// A decimal number from the first to the last of these.
    Range(i64, i64),
    /// One of these.
    Choice(&'static [&'static str]),
    /// One of these in any case, hyphens left out.
    Chip(&'static [&'static str]),
    /// One of these; underscores are taken for hyphens, with a warning.
    ResetMode(&'static [&'static str]),
    /// Pins of the flash.
    Pins,
    /// A file that is there, or `skip`.
    FileOrSkip,
    /// A file that is there.
    Existing,
}

/// A command and what may follow it.
#[derive(Debug)]
pub struct Command {
    /// Name.
    pub name: &'static str,
    /// Options.
    pub options: &'static [Opt],
    /// Arguments, by the name in messages.
    pub arguments: &'static [(&'static str, Value)],
    /// How many of the last arguments may be missing.
    pub optional: usize,
    /// Whether the last argument takes all that is left.
    pub many: bool,
}

/// A command line that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Options by long name, in the order they were given; flags have no value.
    pub options: Vec<(&'static str, Option<OsString>)>,
    /// Arguments.
    pub arguments: Vec<OsString>,
    /// Whether help was asked for.
    pub help: bool,
    /// What was left: the command and what follows it, when a group was read.
    pub rest: Vec<OsString>,
    /// What the user should be told.
    pub warnings: Vec<String>,
}

impl Parsed {
    /// Whether an option was given.
    pub fn has(&self, long: &str) -> bool {
        self.options.iter().any(|(name, _)| *name == long)
    }

    /// Every value of an option.
    pub fn values(&self, long: &str) -> Vec<String> {
        let of_it = self.options.iter().filter(|(name, _)| *name == long);
        of_it
            .filter_map(|(_, value)| value.as_ref())
            .map(|value| value.to_string_lossy().into_owned())
            .collect()
    }

    /// The last value of an option.
    pub fn value(&self, long: &str) -> Option<String> {
        self.options
            .iter()
            .rev()
            .find(|(name, _)| *name == long)
            .and_then(|(_, value)| value.as_ref())
            .map(|value| value.to_string_lossy().into_owned())
    }
}

/// Reads what stands before a command, up to it.
///
/// # Errors
/// What Click would say.
pub fn parse_group(
    words: Vec<OsString>,
    options: &'static [Opt],
    commands: &dyn Fn(&str) -> bool,
) -> Result<Parsed, String> {
    let mut parser = Parser::new(words, options, Some(commands));
    parser.run()?;
    parser.finish()
}

/// Reads what stands behind a command.
///
/// # Errors
/// What Click would say.
pub fn parse_command(words: Vec<OsString>, command: &'static Command) -> Result<Parsed, String> {
    let mut parser = Parser::new(words, command.options, None);
    parser.run()?;
    let parsed = parser.finish()?;
    if parsed.help {
        return Ok(parsed);
    }
    let given = parsed.arguments.len();
    let known = command.arguments.len();
    if given < known - command.optional {
        let (name, _) = command.arguments[given];
        return Err(format!("Missing argument '{name}'."));
    }
    if given > known && !command.many {
        let extra: Vec<_> = parsed.arguments[known..]
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        let plural = if extra.len() > 1 { "s" } else { "" };
        return Err(format!(
            "Got unexpected extra argument{plural} ({})",
            extra.join(" ")
        ));
    }
    for ((name, value), word) in command.arguments.iter().zip(&parsed.arguments) {
        convert(*value, word, "")
            .map_err(|error| format!("Invalid value for '{name}': {error}"))?;
    }
    Ok(parsed)
}

struct Parser<'a> {
    words: std::vec::IntoIter<OsString>,
    options: &'static [Opt],
    commands: Option<&'a dyn Fn(&str) -> bool>,
    parsed: Parsed,
}

impl<'a> Parser<'a> {
    fn new(
        words: Vec<OsString>,
        options: &'static [Opt],
        commands: Option<&'a dyn Fn(&str) -> bool>,
    ) -> Self {
        Self {
            words: words.into_iter(),
            options,
            commands,
            parsed: Parsed::default(),
        }
    }

    fn run(&mut self) -> Result<(), String> {
        while let Some(word) = self.words.next() {
            let text = word.to_string_lossy().into_owned();
            if text == "--" {
                let rest = self.words.by_ref();
                if self.commands.is_some() {
                    self.parsed.rest.extend(rest);
                } else {
                    self.parsed.arguments.extend(rest);
                }
            } else if text.len() > 1 && text.starts_with('-') {
                self.option(&text)?;
            } else if self.commands.is_some() {
                // Behind the command everything is the command's.
                self.parsed.rest.push(word);
                self.parsed.rest.extend(self.words.by_ref());
            } else {
                self.parsed.arguments.push(word);
            }
        }
        Ok(())
    }

    fn option(&mut self, text: &str) -> Result<(), String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        // Short names of several letters count as long ones.
        let long = self
            .options
            .iter()
            .find(|option| option.long == name || (name.len() > 2 && option.short == name));
        if name == "--help" {
            self.parsed.help = true;
            return Ok(());
        }
        if let Some(option) = long {
            return self.take(option, name, value.map(OsString::from));
        }
        if text.starts_with("--") {
            return Err(format!("No such option '{name}'."));
        }
        self.letters(text)
    }

    /// `-tv`, `-b115200`: letters, the first that takes a value takes the rest of the word.
    fn letters(&mut self, text: &str) -> Result<(), String> {
        for (at, letter) in text.char_indices().skip(1) {
            let name = format!("-{letter}");
            if name == "-h" {
                self.parsed.help = true;
                continue;
            }
            let Some(option) = self.options.iter().find(|option| option.short == name) else {
                return Err(format!("No such option '{name}'."));
            };
            let rest = &text[at + letter.len_utf8()..];
            if matches!(option.takes, Takes::Nothing) {
                self.take(option, &name, None)?;
                continue;
            }
            let value = (!rest.is_empty()).then(|| OsString::from(rest));
            return self.take(option, &name, value);
        }
        Ok(())
    }

    fn take(
        &mut self,
        option: &'static Opt,
        name: &str,
        value: Option<OsString>,
    ) -> Result<(), String> {
        let kind = match option.takes {
            Takes::Nothing if value.is_some() => {
                return Err(format!("Option '{name}' does not take a value."));
            }
            Takes::Nothing => {
                self.parsed.options.push((option.long, None));
                return Ok(());
            }
            Takes::One(kind) | Takes::Words(kind) => kind,
        };
        let first = value
            .or_else(|| self.words.next())
            .ok_or_else(|| format!("Option '{name}' requires an argument."))?;
        let mut values = vec![first];
        if matches!(option.takes, Takes::Words(_)) {
            while let Some(next) = self.words.as_slice().first() {
                let text = next.to_string_lossy();
                if text.starts_with('-') || self.commands.is_some_and(|commands| commands(&text)) {
                    break;
                }
                values.extend(self.words.next());
            }
        }
        for value in values {
            self.set(option, kind, &value)?;
        }
        Ok(())
    }

    fn set(&mut self, option: &'static Opt, kind: Value, value: &OsString) -> Result<(), String> {
        match convert(kind, value, option.long) {
            Ok((value, warning)) => {
                self.parsed.warnings.extend(warning);
                self.parsed.options.push((option.long, Some(value)));
                Ok(())
            }
            Err(error) => {
                let short = if option.short.is_empty() {
                    String::new()
                } else {
                    format!(" / '{}'", option.short)
                };
                Err(format!(
                    "Invalid value for '{}'{short}: {error}",
                    option.long
                ))
            }
        }
    }

    /// What was not given comes from the environment.
    fn finish(mut self) -> Result<Parsed, String> {
        if self.parsed.help {
            return Ok(self.parsed);
        }
        for option in self.options {
            if option.env.is_empty() || self.parsed.has(option.long) {
                continue;
            }
            if let (Some(value), Takes::One(kind)) = (std::env::var_os(option.env), option.takes) {
                self.set(option, kind, &value)?;
            }
        }
        Ok(self.parsed)
    }
}

/// Checks a value; gives it in our spelling, and what the user should be told about his.
fn convert(
    kind: Value,
    word: &OsString,
    option: &str,
) -> Result<(OsString, Option<String>), String> {
    let text = word.to_string_lossy();
    let as_it_is = || (word.clone(), None);
    match kind {
        Value::Text => Ok(as_it_is()),
        Value::Chunk => {
            convert(Value::Integer, word, option)?;
            match crate::args::number(&text) {
                Ok(number) if !number.is_multiple_of(4) => {
                    Err("Chunk size should be a 4-byte aligned number.".to_owned())
                }
                _ => Ok(as_it_is()),
            }
        }
        Value::Integer => {
            let digits = text.trim().trim_start_matches(['-', '+']);
            if integer(digits) {
                Ok(as_it_is())
            } else {
                Err(format!("'{text}' is not a valid integer."))
            }
        }
        Value::Size => match crate::args::size(&text) {
            Err(error) if !error.contains("too large") => {
                Err(format!("'{text}' is not a valid integer."))
            }
            _ => Ok(as_it_is()),
        },
        Value::Bytes => match crate::args::scaled(&text) {
            Err(error) if !error.contains("too large") => {
                Err(format!("'{text}' is not a valid integer."))
            }
            _ => Ok(as_it_is()),
        },
        Value::Baud => match text.trim().replace('_', "").parse::<i64>() {
            Ok(baud) => Ok((baud.to_string().into(), None)),
            Err(_) => Err(format!("'{text}' is not a valid baud rate.")),
        },
        Value::Decimal => match text.trim().replace('_', "").parse::<i64>() {
            Ok(number) => Ok((number.to_string().into(), None)),
            Err(_) => Err(format!("'{text}' is not a valid integer.")),
        },
        Value::Range(first, last) => match text.trim().replace('_', "").parse::<i64>() {
            Ok(number) if (first..=last).contains(&number) => Ok((number.to_string().into(), None)),
            Ok(number) => Err(format!("{number} is not in the range {first}<=x<={last}.")),
            Err(_) => Err(format!("'{text}' is not a valid integer range.")),
        },
        Value::Choice(choices) => {
            if choices.contains(&&*text) {
                Ok(as_it_is())
            } else {
                Err(not_one_of(&text, choices))
            }
        }
        Value::Chip(choices) => {
            let name = text.to_lowercase().replace('-', "");
            if choices.contains(&name.as_str()) {
                Ok((name.into(), None))
            } else {
                Err(not_one_of(&name, choices))
            }
        }
        Value::ResetMode(choices) => {
            let name = text.replace('_', "-");
            if name == text && !choices.contains(&name.as_str()) {
                Err(not_one_of(&text, choices))
            } else if !choices.contains(&name.as_str()) {
                Err(format!("{text} is not a valid reset mode."))
            } else if name == text {
                Ok(as_it_is())
            } else {
                let warning = format!(
                    "Deprecated: Choice '{text}' for option '{option}' is deprecated. Use '{name}' \
                     instead."
                );
                Ok((name.into(), Some(warning)))
            }
        }
        Value::FileOrSkip => file_or_skip(&text).map(|()| as_it_is()),
        Value::Existing if std::path::Path::new(word).exists() => Ok(as_it_is()),
        Value::Existing => Err(format!("Path '{text}' does not exist.")),
        Value::Pins => match crate::args::spi_connection(&text) {
            Ok(_) => Ok(as_it_is()),
            Err(_) if !text.contains(',') => Err(format!(
                "{text} is not a valid spi-connection value. Values are SPI, HSPI, or a sequence \
                 of 5 pin numbers - CLK,Q,D,HD,CS."
            )),
            Err(_) if text.split(',').count() != 5 => Err(format!(
                "{text} is not a valid list of comma-separated pin numbers. Must be 5 numbers - \
                 CLK,Q,D,HD,CS."
            )),
            Err(_) => {
                let pins: Vec<_> = text.split(',').map(|pin| format!("'{pin}'")).collect();
                Err(format!(
                    "[{}] is not a valid argument. All pins must be numeric values.",
                    pins.join(", ")
                ))
            }
        },
    }
}

/// A file that can be compared with, or the word for none.
fn file_or_skip(text: &str) -> Result<(), String> {
    let path = std::path::Path::new(text);
    if text.eq_ignore_ascii_case("skip") {
        return match path.exists() {
            true => Err(format!(
                "File named '{text}' exists, but this filename is not supported as it conflicts \
                 with the 'skip' keyword. Please rename the file."
            )),
            false => Ok(()),
        };
    }
    match std::fs::metadata(path) {
        Err(_) => Err(format!("File '{text}' does not exist.")),
        Ok(found) if found.is_dir() => Err(format!("File '{text}' is a directory.")),
        Ok(_) => Ok(()),
    }
}

/// Whether Python would take it for an integer literal, whatever its size.
fn integer(digits: &str) -> bool {
    match crate::args::number(digits) {
        Ok(_) => true,
        Err(error) => error.contains("too large"),
    }
}

fn not_one_of(text: &str, choices: &[&str]) -> String {
    let mut message = format!("'{text}' is not one of ");
    for (at, choice) in choices.iter().enumerate() {
        let separator = if at > 0 { ", " } else { "" };
        let _ = write!(message, "{separator}'{choice}'");
    }
    message.push('.');
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    static GROUP: [Opt; 5] = [
        Opt {
            long: "--port",
            short: "-p",
            takes: Takes::One(Value::Text),
            env: "",
        },
        Opt {
            long: "--baud",
            short: "-b",
            takes: Takes::One(Value::Baud),
            env: "",
        },
        Opt {
            long: "--trace",
            short: "-t",
            takes: Takes::Nothing,
            env: "",
        },
        Opt {
            long: "--before",
            short: "",
            takes: Takes::One(Value::ResetMode(&["no-reset"])),
            env: "",
        },
        Opt {
            long: "--filter",
            short: "",
            takes: Takes::Words(Value::Text),
            env: "",
        },
    ];

    static COMMAND: Command = Command {
        name: "read",
        options: &[
            Opt {
                long: "--mode",
                short: "-fm",
                takes: Takes::One(Value::Choice(&["qio", "dio"])),
                env: "",
            },
            Opt {
                long: "--no-progress",
                short: "-p",
                takes: Takes::Nothing,
                env: "",
            },
        ],
        arguments: &[("ADDRESS", Value::Integer), ("SIZE", Value::Size)],
        optional: 0,
        many: false,
    };

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    fn group(text: &str) -> Result<Parsed, String> {
        parse_group(words(text), &GROUP, &|name| name == "read")
    }

    fn command(text: &str) -> Result<Parsed, String> {
        parse_command(words(text), &COMMAND)
    }

    #[test]
    fn group_options_end_at_the_command() {
        let parsed = group("-tp /dev/x -b9600 --before=no_reset read -p 0 1").unwrap();
        assert!(parsed.has("--trace"));
        assert_eq!(parsed.value("--port").unwrap(), "/dev/x");
        assert_eq!(parsed.value("--baud").unwrap(), "9600");
        assert_eq!(parsed.value("--before").unwrap(), "no-reset");
        assert_eq!(parsed.rest, words("read -p 0 1"));
        assert_eq!(
            parsed.warnings,
            [
                "Deprecated: Choice 'no_reset' for option '--before' is deprecated. Use 'no-reset' \
              instead."
            ]
        );
    }

    #[test]
    fn options_of_many_words_end_at_an_option_or_a_command() {
        let parsed = group("--filter vid=1 pid=2 read").unwrap();
        assert_eq!(parsed.options.len(), 2);
        assert_eq!(parsed.rest, words("read"));
        let parsed = group("--filter vid=1 -t read").unwrap();
        assert_eq!(parsed.options.len(), 2);
    }

    #[test]
    fn short_names_may_have_several_letters() {
        let parsed = command("-fm dio 0x10 -p 4k").unwrap();
        assert_eq!(parsed.value("--mode").unwrap(), "dio");
        assert!(parsed.has("--no-progress"));
        assert_eq!(parsed.arguments, words("0x10 4k"));
        assert_eq!(
            command("-fm=qio 0 1").unwrap().value("--mode").unwrap(),
            "qio"
        );
    }

    #[test]
    fn mistakes_are_told_as_click_does() {
        for (line, message) in [
            (
                "-fm bad 0 1",
                "Invalid value for '--mode' / '-fm': 'bad' is not one of 'qio', 'dio'.",
            ),
            ("--bogus 0 1", "No such option '--bogus'."),
            ("-x 0 1", "No such option '-x'."),
            (
                "--no-progress=1 0 1",
                "Option '--no-progress' does not take a value.",
            ),
            ("-fm", "Option '-fm' requires an argument."),
            ("", "Missing argument 'ADDRESS'."),
            ("0", "Missing argument 'SIZE'."),
            (
                "0 4q",
                "Invalid value for 'SIZE': '4q' is not a valid integer.",
            ),
            (
                "x 1",
                "Invalid value for 'ADDRESS': 'x' is not a valid integer.",
            ),
            ("0 1 2 3", "Got unexpected extra arguments (2 3)"),
            ("0 1 2", "Got unexpected extra argument (2)"),
        ] {
            assert_eq!(command(line).unwrap_err(), message, "{line}");
        }
        assert_eq!(
            group("--before foo_bar read").unwrap_err(),
            "Invalid value for '--before': foo_bar is not a valid reset mode."
        );
        assert_eq!(
            group("--baud x read").unwrap_err(),
            "Invalid value for '--baud' / '-b': 'x' is not a valid baud rate."
        );
    }

    #[test]
    fn two_hyphens_end_the_options() {
        assert_eq!(command("-- 0 1").unwrap().arguments, words("0 1"));
        assert_eq!(group("-t -- read x").unwrap().rest, words("read x"));
    }

    #[test]
    fn help_wins_over_what_is_missing() {
        assert!(command("-h").unwrap().help);
        assert!(command("--help").unwrap().help);
    }
}
