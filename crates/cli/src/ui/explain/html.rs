//! The explanation as one page of HTML that needs nothing else: no script, no picture, nothing from
//! anywhere. Whatever a log, an ELF file or a source file says is text in it.

use std::fmt::Write;

use guru_crash::explain::{
    ElfFit, ExplainedBoot, ExplainedCrash, ExplainedFrame, ExplainedMessage, ExplainedStack,
};

use super::{ExplainReport, headline, place, register_name, runs, times, unknown, who};
use crate::ui::escape;

/// Forbids what the page does not have, should a text ever become more than text.
const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <meta name=\"referrer\" content=\"no-referrer\">\n";

const STYLE: &str = "
:root { color-scheme: light dark; --text: #1b1f24; --back: #fff; --soft: #5b6570; --line: #d5dae0;
  --box: #f5f7f9; --bad: #b3261e; --warn: #8a5a00; --link: #0b57d0 }
@media (prefers-color-scheme: dark) { :root { --text: #e3e6ea; --back: #14171a; --soft: #98a2ad;
  --line: #353b42; --box: #1d2126; --bad: #ff8a80; --warn: #ffca6a; --link: #8ab4f8 } }
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: var(--text); background: var(--back);
  font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.4rem } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-top: 1px solid var(--line);
  padding-top: 1rem } h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
pre, code, td.code { font: 14px/1.45 ui-monospace, monospace }
pre { background: var(--box); padding: .6rem .8rem; overflow-x: auto; margin: .4rem 0; white-space: pre-wrap;
  overflow-wrap: anywhere }
.what { color: var(--bad); font-weight: 600 } .warn { color: var(--warn) } .soft { color: var(--soft) }
.here { font-weight: 700 } a { color: var(--link) }
table { border-collapse: collapse; margin: .4rem 0; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere }
ul, ol { margin: .3rem 0; padding-left: 1.4rem }
@media print { body { max-width: none; margin: 0; font-size: 11pt } h2 { break-after: avoid }
  table, pre, li { break-inside: avoid } a::after { content: \" (\" attr(href) \")\" } }
";

/// The page.
pub fn page(report: &ExplainReport) -> String {
    let mut page = Page {
        html: String::from(HEAD),
    };
    let explanation = &report.explanation;
    let title = format!("{}: {}", report.log_name(), explanation.summary);
    page.element("title", "", &title);
    let _ = write!(page.html, "<style>{STYLE}</style>\n</head>\n<body>\n");
    page.element("h1", "", &title);
    let several = explanation.crashes.len() > 1;
    for (index, crash) in explanation.crashes.iter().enumerate() {
        page.crash(crash, several.then_some(index + 1));
    }
    if explanation.crashes_left_out > 0 {
        let count = explanation.crashes_left_out;
        page.element("p", "", &format!("{count} further crashes are not shown."));
    }
    page.rest(report);
    page.html.push_str("</body>\n</html>\n");
    page.html
}

struct Page {
    html: String,
}

impl Page {
    /// An element with text in it; `class` is ours, `text` is anybody's.
    fn element(&mut self, tag: &str, class: &str, text: &str) {
        let class = match class.is_empty() {
            true => String::new(),
            false => format!(" class=\"{class}\""),
        };
        let _ = writeln!(self.html, "<{tag}{class}>{}</{tag}>", harmless(text));
    }

    fn list(&mut self, title: &str, tag: &str, items: &[String]) {
        if items.is_empty() {
            return;
        }
        self.element("h3", "", title);
        self.items(tag, items);
    }

    fn items(&mut self, tag: &str, items: &[String]) {
        let _ = writeln!(self.html, "<{tag}>");
        for item in items {
            self.element("li", "", item);
        }
        let _ = writeln!(self.html, "</{tag}>");
    }

    fn link(&mut self, link: &str) {
        // Anything else than a page on the web is shown, and leads nowhere.
        if link.starts_with("https://") {
            let link = harmless(link);
            let _ = writeln!(
                self.html,
                "<p><a href=\"{link}\" rel=\"noreferrer\">{link}</a></p>"
            );
        } else {
            self.element("p", "", link);
        }
    }

    fn crash(&mut self, crash: &ExplainedCrash, number: Option<usize>) {
        self.element("h2", "", &headline(crash, number));
        self.element("p", "what", &crash.what);
        if !crash.printed.is_empty() {
            self.element("pre", "", &crash.printed);
        }
        if !crash.meaning.is_empty() {
            self.element("p", "", &crash.meaning);
        }
        if let Some(text) = who(crash) {
            self.element("p", "", &text);
        }
        let details = crash.details.iter();
        let details: Vec<_> = details
            .map(|one| format!("{} [{}]", one.what, one.printed))
            .collect();
        if !details.is_empty() {
            self.items("ul", &details);
        }
        for (index, stack) in crash.stacks.iter().enumerate() {
            self.stack(stack, index == 0);
        }
        let findings: Vec<_> = crash.findings.iter().map(|one| one.text.clone()).collect();
        self.list("What the dump shows", "ul", &findings);
        let causes: Vec<_> = crash
            .causes
            .iter()
            .map(|cause| match cause.seen.is_empty() {
                true => cause.text.clone(),
                false => format!("{} (the dump speaks for it)", cause.text),
            })
            .collect();
        self.list("Why, the likeliest first", "ol", &causes);
        self.list("What to check next", "ul", &crash.check);
        self.list("What mends it", "ul", &crash.remedies);
        if !crash.settings.is_empty() {
            self.element("h3", "", "Settings that have to do with it");
            self.element("p", "", &crash.settings.join(", "));
        }
        if let Some(ended) = &crash.ended {
            self.element("h3", "", "Afterwards");
            self.element("p", "", ended);
        }
        self.list("What the report lacks", "ul", &crash.torn);
        if let Some(link) = &crash.link {
            self.element("h3", "", "More");
            self.link(link);
        }
    }

    fn stack(&mut self, stack: &ExplainedStack, first: bool) {
        let lead = if first { "Where" } else { "And" };
        self.element("h3", "", &format!("{lead}: {}", stack.title));
        if !stack.frames.is_empty() {
            self.frames(&stack.frames, true);
        }
        if let Some(end) = &stack.end {
            self.element("p", "soft", end);
        }
        if !stack.possible.is_empty() {
            self.element(
                "p",
                "",
                "Possible callers, from return addresses on the stack; not a proven chain:",
            );
            self.frames(&stack.possible, false);
        }
        if !stack.registers.is_empty() {
            self.html.push_str("<table>\n");
            for register in &stack.registers {
                let note = match &register.note {
                    Some(note) => format!("{}; {note}", register.class),
                    None => register.class.to_string(),
                };
                let _ = writeln!(
                    self.html,
                    "<tr><td class=\"code\">{}</td><td class=\"code\">0x{:08x}</td><td>{}</td></tr>",
                    harmless(&register_name(register)),
                    register.value,
                    harmless(&note)
                );
            }
            self.html.push_str("</table>\n");
        }
    }

    fn frames(&mut self, frames: &[ExplainedFrame], numbered: bool) {
        self.html.push_str("<table>\n");
        for (number, frame, count) in runs(frames) {
            let number = match (numbered, count) {
                (true, 1) => format!("#{number}"),
                (true, count) => format!("#{number} to #{}", number + count - 1),
                (false, _) => "?".to_owned(),
            };
            let _ = write!(
                self.html,
                "<tr><td class=\"code\">{number}</td><td class=\"code\">0x{:08x}</td><td>",
                frame.address
            );
            if frame.places.is_empty() {
                let _ = write!(
                    self.html,
                    "<span class=\"soft\">{}</span>",
                    harmless(&unknown(frame))
                );
            }
            for (index, at) in frame.places.iter().enumerate() {
                let gap = if index > 0 { "<br>" } else { "" };
                let _ = write!(self.html, "{gap}<code>{}</code>", harmless(&place(at)));
                if !at.source.is_empty() {
                    self.html.push_str("<pre>");
                    for line in &at.source {
                        let text = format!("{:>5} | {}", line.number, line.text);
                        let text = harmless(&text.replace('\t', "    "));
                        let _ = match Some(line.number) == at.line {
                            true => writeln!(self.html, "<span class=\"here\">{text}</span>"),
                            false => writeln!(self.html, "{text}"),
                        };
                    }
                    self.html.push_str("</pre>");
                }
            }
            if let Some(bytes) = frame.stack_bytes {
                let _ = write!(
                    self.html,
                    " <span class=\"soft\">{bytes} bytes of stack</span>"
                );
            }
            self.html.push_str("</td></tr>\n");
        }
        self.html.push_str("</table>\n");
    }

    fn rest(&mut self, report: &ExplainReport) {
        let explanation = &report.explanation;
        if let Some(boot_loop) = &explanation.boot_loop {
            self.element("h2", "", "Boot loop");
            self.element("p", "warn", &boot_loop.text);
        }
        if !explanation.boots.is_empty() {
            self.element("h2", "", "Starts of the chip");
            for boot in &explanation.boots {
                self.boot(boot);
            }
            let left = explanation.boots_left_out;
            if left > 0 {
                self.element("p", "", &format!("{left} further starts are not shown."));
            }
        }
        if !explanation.messages.is_empty() {
            self.element("h2", "", "Other messages");
            for message in &explanation.messages {
                self.message(message);
            }
        }
        let elf = &explanation.elf;
        if !elf.files.is_empty() || !elf.advice.is_empty() {
            self.element("h2", "", "ELF file");
            for file in &elf.files {
                let class = match file.fit {
                    ElfFit::OtherBuild | ElfFit::OtherMachine | ElfFit::NoCode => "warn",
                    _ => "",
                };
                self.element("p", class, &file.text);
            }
            for text in &elf.advice {
                self.element("p", "", text);
            }
        }
        if !explanation.settings.is_empty() {
            self.element("h2", "", "Settings of the firmware");
            self.html.push_str("<table>\n");
            for setting in &explanation.settings {
                let better = setting.better.as_deref().unwrap_or_default();
                let effect = format!("{} {better}", setting.effect);
                let _ = writeln!(
                    self.html,
                    "<tr><td>{}</td><td>{}<br><code>{}</code></td><td>{}</td></tr>",
                    harmless(setting.topic),
                    harmless(&setting.value),
                    harmless(&setting.name),
                    harmless(effect.trim_end())
                );
            }
            self.html.push_str("</table>\n");
        }
        if !explanation.notes.is_empty() {
            self.element("h2", "", "Also");
            for note in &explanation.notes {
                self.element("p", "", note);
            }
        }
    }

    fn boot(&mut self, boot: &ExplainedBoot) {
        let code = boot.reset_code.map(|code| format!("0x{code:x} "));
        let alike = match boot.count {
            1 => String::new(),
            count => format!(" and {} more like it", count - 1),
        };
        let mut text = format!(
            "Line {}{alike}: reset {}{}",
            boot.line,
            code.unwrap_or_default(),
            boot.reset.as_deref().unwrap_or("unknown")
        );
        if let Some(meaning) = &boot.meaning {
            text.push_str(&format!(": {meaning}"));
        }
        if let Some(after) = &boot.after {
            text.push_str(&format!(" {after}"));
        }
        self.element("p", "", &text);
        if let Some(mode) = &boot.mode {
            self.element("p", "warn", mode);
        }
        if !boot.saved_pc.is_empty() {
            self.element("p", "", "Before it the CPU was here:");
            self.frames(&boot.saved_pc, false);
        }
        for message in &boot.messages {
            self.message(message);
        }
    }

    fn message(&mut self, message: &ExplainedMessage) {
        let count = match message.count {
            1 => String::new(),
            count => format!(" ({})", times(count)),
        };
        let text = format!("Line {}: {}{count}", message.line, message.what);
        self.element("h3", "", &text);
        self.element("pre", "", &message.printed);
        if !message.meaning.is_empty() {
            self.element("p", "", &message.meaning);
        }
        if !message.remedies.is_empty() {
            self.items("ul", &message.remedies);
        }
    }
}

/// Text that is only text: control characters are written out, and what HTML would read as its own.
fn harmless(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 8);
    for c in escape(text).chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_leaves_its_element(text: String) {
            let html = harmless(&text);
            prop_assert!(!html.contains(['<', '>', '"', '\'']));
            prop_assert!(!html.chars().any(char::is_control));
        }
    }
}
