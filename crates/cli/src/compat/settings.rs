//! What is set, and what is wrong with it, in the predecessor's words.

use guru_link::Step;
use guru_link::ports::{PortFilter, PortFilterProblem};

use super::click::Parsed;
use super::screen::Lines;
use crate::config::ConfigError;
use crate::ui::Message;

/// What a configuration file makes the predecessor say.
pub fn remark(lines: &mut Lines, message: &Message) {
    match message {
        Message::UnknownKeys { keys, .. } => {
            let plural = if keys.len() > 1 { "s" } else { "" };
            let keys: Vec<_> = keys.iter().map(|key| &*key.key).collect();
            lines.warn(&format!(
                "Ignoring unknown config option{plural}: {}",
                keys.join(", ")
            ));
        }
        Message::Configuration {
            path,
            from_environment,
        } => {
            let suffix = if *from_environment {
                " (set with ESPTOOL_CFGFILE)"
            } else {
                ""
            };
            lines.print(&format!(
                "Loaded custom configuration from {}{suffix}",
                path.display()
            ));
        }
        Message::InvalidConfiguration { path, reason } => {
            lines.warn(&format!(
                "Ignoring invalid config file {}: {reason}",
                path.display()
            ));
        }
        _ => {}
    }
}

/// What is wrong with `--port-filter`, in the predecessor's words. Where a port is named nobody looks
/// at it.
pub fn port_filter(group: &Parsed) -> Result<(), String> {
    if group.has("--port") {
        return Ok(());
    }
    for value in group.values("--port-filter") {
        let Err(error) = value.parse::<PortFilter>() else {
            continue;
        };
        return Err(match error.problem {
            PortFilterProblem::Form => format!(
                "Invalid port filter format: {}. Expected key=value.",
                repr(&value)
            ),
            PortFilterProblem::Key(key) => format!(
                "Unknown port filter key: {}. Valid keys: ['name', 'pid', 'serial', 'vid'].",
                repr(&key)
            ),
            PortFilterProblem::Id(id) => {
                let key = value.split('=').next().unwrap_or_default().trim();
                format!(
                    "Invalid integer for port filter {}: {}.",
                    repr(&key.to_lowercase()),
                    repr(&id)
                )
            }
        });
    }
    Ok(())
}

/// What is wrong with what only concerns who opens a port or resets a chip.
pub fn misconfigured(error: &ConfigError) -> String {
    match error {
        ConfigError::BadValue { value, .. } => match value.split('|').find_map(bad_step) {
            Some(reason) => {
                format!("Invalid custom reset sequence option format: {reason}")
            }
            None => error.to_string(),
        },
        ConfigError::BadVariable { variable, .. } => format!("Invalid value for {variable}."),
        ConfigError::Syntax { .. } | ConfigError::Unreadable { .. } => error.to_string(),
    }
}

/// Why a step of a reset sequence cannot be read, if so.
fn bad_step(step: &str) -> Option<String> {
    let step = step.trim();
    let kind = step.chars().next()?;
    step.parse::<Step>().err()?;
    let value = &step[kind.len_utf8()..];
    let level = |text: &str| {
        let good = matches!(text, "0" | "1");
        (!good).then(|| format!("Expected '0' or '1', got {}", repr(text)))
    };
    let reason = match kind.to_ascii_uppercase() {
        'D' | 'R' => level(value)?,
        'U' => match value.split(',').map(str::trim).collect::<Vec<_>>()[..] {
            [dtr, rts] => level(dtr).or_else(|| level(rts))?,
            _ => format!(
                "Expected two comma-separated values for U command, got {}.",
                repr(value)
            ),
        },
        'W' => format!("could not convert string to float: {}", repr(value)),
        _ => format!("Unknown reset sequence command: {}.", repr(step)),
    };
    Some(format!(
        "Invalid custom reset sequence step {}: {reason}",
        repr(step)
    ))
}

/// A text in quotes, as Python shows it, apart from what cannot be printed.
fn repr(text: &str) -> String {
    let quote = match text.contains('\'') && !text.contains('"') {
        true => '"',
        false => '\'',
    };
    let mut shown = String::from(quote);
    for c in text.chars() {
        if c == quote || c == '\\' {
            shown.push('\\');
        }
        shown.push(c);
    }
    shown.push(quote);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_step_is_told_as_the_predecessor_does() {
        for (step, reason) in [
            ("Q1", "'Q1': Unknown reset sequence command: 'Q1'."),
            ("R7", "'R7': Expected '0' or '1', got '7'"),
            ("d", "'d': Expected '0' or '1', got ''"),
            (
                "U1",
                "'U1': Expected two comma-separated values for U command, got '1'.",
            ),
            ("U1,x", "'U1,x': Expected '0' or '1', got 'x'"),
            ("Wx", "'Wx': could not convert string to float: 'x'"),
        ] {
            let expected = format!("Invalid custom reset sequence step {reason}");
            assert_eq!(bad_step(step), Some(expected));
        }
        for step in ["", " ", "D0", "w.5", "U1, 0"] {
            assert_eq!(bad_step(step), None);
        }
    }

    #[test]
    fn texts_are_quoted_as_python_does() {
        assert_eq!(repr("a"), "'a'");
        assert_eq!(repr("it's"), "\"it's\"");
        assert_eq!(repr("\"'\\"), "'\"\\'\\\\'");
    }
}
