//! Options before a command's name. They mean the same behind it; but of an option that may be
//! repeated, clap keeps only what stands behind it when it stands at both places.

use std::ffi::OsString;

use clap::{Arg, Command};

/// Puts what stands before a command's name behind it, so that `--port A flash-id --port B` names
/// two ports. The program's own name comes first. What cannot be told apart is left as it is.
pub fn behind_the_command(program: &Command, mut words: Vec<OsString>) -> Vec<OsString> {
    let mut at = 1;
    while let Some(word) = words.get(at).and_then(|word| word.to_str()) {
        if !word.starts_with('-') {
            words[1..=at].rotate_right(1);
            return words;
        }
        at += match values(program, word) {
            Some(values) => 1 + values,
            None => return words,
        };
    }
    words
}

/// How many of the next words belong to a word of options. `None`: there is no such option, or one
/// that goes with no command.
fn values(program: &Command, word: &str) -> Option<usize> {
    let takes = |arg: &Arg| usize::from(arg.get_action().takes_values());
    let mut globals = program.get_arguments().filter(|arg| arg.is_global_set());
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = long
            .split_once('=')
            .map_or((long, false), |(name, _)| (name, true));
        let arg = globals.find(|arg| arg.get_long() == Some(name))?;
        return Some(if value { 0 } else { takes(arg) });
    }
    let globals: Vec<&Arg> = globals.collect();
    let mut letters = word[1..].chars();
    while let Some(letter) = letters.next() {
        let arg = globals.iter().find(|arg| arg.get_short() == Some(letter))?;
        if takes(arg) > 0 {
            // The rest of the word is its value, if there is one.
            return Some(usize::from(letters.as_str().is_empty()));
        }
    }
    (word.len() > 1).then_some(0)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cmd::Cli;

    fn moved(line: &str) -> String {
        let words = line.split(' ').map(OsString::from).collect();
        let words = behind_the_command(&Cli::command(), words);
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn ports_before_and_behind_a_command_are_all_meant() {
        let line = moved("guru --port a -q flash-id --port b");
        assert_eq!(line, "guru flash-id --port a -q --port b");
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(cli.globals.port, ["a", "b"]);
    }

    #[test]
    fn values_of_options_are_not_taken_for_the_command() {
        for (line, expected) in [
            ("guru -p a flash-id", "guru flash-id -p a"),
            ("guru -pa -qb 9600 flash-id", "guru flash-id -pa -qb 9600"),
            ("guru --port=a flash-id", "guru flash-id --port=a"),
        ] {
            assert_eq!(moved(line), expected);
        }
    }

    #[test]
    fn what_is_no_option_of_every_command_stays_where_it_is() {
        for line in [
            "guru --help flash-id",
            "guru --none a flash-id",
            "guru - flash-id",
            "guru -p",
        ] {
            assert_eq!(moved(line), line);
        }
    }
}
