//! From the command line to the exit code.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use crate::at_files;
use crate::cmd::{Cli, Command, Frame};
use crate::compat;
use crate::config::setting::with_defaults;
use crate::config::{self, Source};
use crate::context::{Context, Mode};
use crate::error::{Error, exit};
use crate::globals::Format;
use crate::leading::behind_the_command;
use crate::ui::{Json, Screen, Stream, Text, Verbosity};

/// Runs a command line, the program's own name first. Returns the exit code.
pub fn run(words: Vec<OsString>) -> u8 {
    if words.first().is_some_and(|name| is_old_name(name)) {
        return compat::run(words.into_iter().skip(1).collect());
    }
    if words.get(1).is_some_and(|name| is_old_name(name)) {
        return compat::run(words.into_iter().skip(2).collect());
    }
    let words = match at_files::expand(&words) {
        Ok(None) => words,
        Ok(Some(expanded)) => expanded,
        Err((file, source)) => return fail(&Error::Arguments { file, source }, &words),
    };
    let mut loaded = config::load(Mode::Guru);
    let words = behind_the_command(&Frame::command(), words);
    let name = words.get(1).and_then(|word| word.to_str());
    let program = with_defaults(Cli::reader(name), &loaded.origins, |setting| {
        loaded.has_bad_variable(setting)
    });
    let parsed = program.try_get_matches_from(&words).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches)?;
        Ok((matches, cli))
    });
    let (matches, mut cli) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return refuse(&error, &words),
    };
    let mut screen = screen(&cli);
    for remark in loaded.remarks.drain(..) {
        screen.message(&remark);
    }
    if let Some(error) = loaded.bad.drain(..).next() {
        return screen.end(Err(&error.into()));
    }
    if let Err(error) = loaded.add_given(&matches) {
        return screen.end(Err(&error.into()));
    }
    // Who asks for all boards, or for those to come, does not mean the usual one.
    let usual = loaded.origins.get("port").map(|port| &port.source);
    if matches!(usual, Some(Source::File { .. })) && cli.command.looks_for_boards() {
        cli.globals.port.clear();
    }
    loaded.add_fpga(&cli.globals);
    let context = Context::new(Mode::Guru, cli.globals, loaded, screen);
    run_command(context, cli.command)
}

/// Runs a command. Returns the exit code.
pub fn run_command(mut context: Context, command: Command) -> u8 {
    let outcome = command.run(&mut context);
    context.screen.end(outcome.as_ref().copied())
}

/// `esptool`, `/usr/bin/esptool.py`, `esptool.exe`.
fn is_old_name(word: &OsStr) -> bool {
    let name = Path::new(word)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let name = name.strip_suffix(".exe").unwrap_or(&name);
    matches!(name, "esptool" | "esptool.py")
}

fn screen(cli: &Cli) -> Box<dyn Screen> {
    let stream = if cli.command.writes_data() {
        Stream::Stderr
    } else {
        Stream::Stdout
    };
    let verbosity = cli.globals.verbosity();
    match cli.globals.format {
        // What a program prints is among the events then.
        Format::Json if cli.command.monitors() => Box::new(Json::new(Stream::Stdout, verbosity)),
        Format::Json => Box::new(Json::new(stream, verbosity)),
        Format::Text => Box::new(Text::new(stream, verbosity, cli.command.shows_progress())),
    }
}

/// A command line that cannot be read, or a request for help.
fn refuse(error: &clap::Error, words: &[OsString]) -> u8 {
    let asked = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if !asked && wants_json(words) {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default();
        let message = message.trim_start_matches("error: ").to_owned();
        return fail(&Error::Usage(message), words);
    }
    // A reader that went away is no reason to fail.
    let _ = error.print();
    if asked { exit::SUCCESS } else { exit::REFUSED }
}

/// An error before there is a command.
fn fail(error: &Error, words: &[OsString]) -> u8 {
    if wants_json(words) {
        Json::new(Stream::Stdout, Verbosity::Normal).end(Err(error))
    } else {
        Text::new(Stream::Stderr, Verbosity::Normal, false).end(Err(error))
    }
}

fn wants_json(words: &[OsString]) -> bool {
    words.iter().any(|word| word == "--format=json")
        || words
            .windows(2)
            .any(|pair| pair[0] == "--format" && pair[1] == "json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_are_known_by_their_file_name() {
        for name in ["esptool", "/opt/bin/esptool.py", "./esptool.exe"] {
            assert!(is_old_name(OsStr::new(name)), "{name}");
        }
        for name in ["guru", "esptool2", "/esptool/guru", ""] {
            assert!(!is_old_name(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn json_is_wanted_even_where_the_rest_cannot_be_read() {
        let words = |text: &str| -> Vec<OsString> { text.split(' ').map(OsString::from).collect() };
        assert!(wants_json(&words("guru --format json bogus")));
        assert!(wants_json(&words("guru bogus --format=json")));
        assert!(!wants_json(&words("guru bogus --format text")));
    }
}
