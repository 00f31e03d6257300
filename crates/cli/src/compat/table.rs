//! The predecessor's command line as data, for those who compare it with the predecessor.

use clap::CommandFactory;
use serde::Serialize;

use super::click::{Command, Opt, Takes, Value};
use super::commands::{COMMANDS, DEPRECATED, GROUP, HIDDEN};
use super::esptool::own_name;
use crate::cmd::Cli;

/// What is taken under the predecessor's name.
#[derive(Debug, Serialize)]
pub struct OldCommandLine {
    /// Options before the command.
    pub options: Vec<OldOption>,
    /// Commands that there are.
    pub commands: Vec<OldCommand>,
    /// Older names of options, and the present ones.
    pub renamed: Vec<(&'static str, &'static str)>,
}

/// A command of the predecessor.
#[derive(Debug, Serialize)]
pub struct OldCommand {
    /// Its name.
    pub name: &'static str,
    /// Its options.
    pub options: Vec<OldOption>,
    /// Its arguments, in their order: what messages call them, and the kind of value.
    pub arguments: Vec<(&'static str, String)>,
    /// Whether the last argument takes all that is left.
    pub many: bool,
}

/// An option of the predecessor.
#[derive(Debug, Serialize)]
pub struct OldOption {
    /// Name with its hyphens.
    pub long: &'static str,
    /// Short name; empty: none.
    pub short: &'static str,
    /// `nothing`, `one` value, or all `words` up to the next option.
    pub takes: &'static str,
    /// Kind of value, as the program's source calls it; empty: none.
    pub kind: String,
    /// Values that it can have, where these are few.
    pub choices: Vec<&'static str>,
    /// Variable of the environment that stands in for it; empty: none.
    pub variable: &'static str,
    /// What holds when it is not given, where that is a value; empty: nothing.
    pub default: String,
    /// Whether help is silent about it.
    pub hidden: bool,
}

/// The predecessor's command line, as far as it is taken.
pub fn old_command_line() -> OldCommandLine {
    let program = Cli::command();
    let commands = COMMANDS
        .iter()
        .map(|command| old_command(command, &program));
    OldCommandLine {
        options: GROUP.iter().map(|opt| old_option(opt, &program)).collect(),
        commands: commands.collect(),
        renamed: DEPRECATED.to_vec(),
    }
}

fn old_command(command: &Command, program: &clap::Command) -> OldCommand {
    let own = program.find_subcommand(command.name).unwrap_or(program);
    let arguments = command.arguments.iter();
    OldCommand {
        name: command.name,
        options: command
            .options
            .iter()
            .map(|opt| old_option(opt, own))
            .collect(),
        arguments: arguments
            .map(|(name, value)| (*name, kind(*value)))
            .collect(),
        many: command.many,
    }
}

fn old_option(opt: &Opt, own: &clap::Command) -> OldOption {
    let (takes, value) = match opt.takes {
        Takes::Nothing => ("nothing", None),
        Takes::One(value) => ("one", Some(value)),
        Takes::Words(value) => ("words", Some(value)),
    };
    let choices = match value {
        Some(Value::Choice(all) | Value::Chip(all) | Value::ResetMode(all)) => all.to_vec(),
        _ => Vec::new(),
    };
    let default = own
        .get_arguments()
        .find(|arg| arg.get_long() == Some(own_name(opt.long)))
        .filter(|_| takes == "one")
        .and_then(|arg| arg.get_default_values().first())
        .map(|value| value.to_string_lossy().into_owned());
    OldOption {
        long: opt.long,
        short: opt.short,
        takes,
        kind: value.map(kind).unwrap_or_default(),
        choices,
        variable: opt.env,
        default: default.unwrap_or_default(),
        hidden: HIDDEN.contains(&opt.long),
    }
}

/// Name of a kind of value, without what it holds.
fn kind(value: Value) -> String {
    let mut name = format!("{value:?}");
    name.truncate(name.find('(').unwrap_or(name.len()));
    name
}
