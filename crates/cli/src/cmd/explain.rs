use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

use clap::Args;
use guru_crash::Parser;
use guru_crash::explain::{Force, Inputs, Log, Sdkconfig, explain, judge, prepare};
use guru_crash::knowledge::Knowledge;
use guru_symbols::{Program, SymbolsError};

use crate::context::Context;
use crate::error::Error;
use crate::new_file::NewFile;
use crate::source_files::SourceFiles;
use crate::ui::{self, ExplainReport, Message, Report};

/// Explain what a chip printed when it crashed
///
///     guru explain crash.log --elf build/app.elf
///     guru explain < crash.log
///     guru explain crash.log --elf build/app.elf --html crash.html
///
/// The log is whatever was on the console: register dumps, backtraces, watchdogs, failed assertions,
/// damaged heaps, boot messages, with anything around them. It says what happened, where, why, and what to
/// look at next. Several crashes are told apart, the same ones counted, boot loops recognised.
///
/// With the ELF file of the firmware addresses become functions and lines. It has to be the very build
/// that ran: where the log has the ELF file's digest, another build is refused (exit code 3, what can be
/// said without it is said). ESP-IDF's settings (sdkconfig) are found beside the ELF file.
///
/// Nothing but these files is needed: no board, no toolchain, no network.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Explain {
    /// The log; - or nothing is standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// ELF file of the firmware; may be repeated, for a bootloader or a trusted environment beside it
    #[arg(long, value_name = "ELF")]
    elf: Vec<PathBuf>,

    /// ESP-IDF's settings of the firmware, in place of those that are found beside the ELF file
    #[arg(long, value_name = "FILE")]
    sdkconfig: Option<PathBuf>,

    /// Write the explanation as a page for a browser, too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Decode by an ELF file of another build: what it names may be wrong
    #[arg(long)]
    force: bool,
}

/// Bytes that are read at a time.
const CHUNK: usize = 1 << 16;

impl Explain {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Error> {
        if let (Some(log), Some(html)) = (&self.file, &self.html)
            && is_same_file(log, html)
        {
            return Err(Error::Usage(format!(
                "'{}' is the log; name another file for the page",
                html.display()
            )));
        }
        let chip = context.globals.chip.named();
        // Files first: what is wrong with them is not told after a log was pasted.
        let programs = thread::scope(|scope| {
            scope.spawn(Knowledge::builtin);
            let programs = self.elf.iter().map(|path| program(path));
            programs.collect::<Result<Vec<_>, _>>()
        })?;
        let mut settings = self.sdkconfig.as_deref().map(sdkconfig).transpose()?;
        let mut settings_path = self.sdkconfig.clone();

        let knowledge = Knowledge::builtin();
        let mut log = Log::new(chip);
        // Digests and the debugging information take the longest: at the same time.
        thread::scope(|scope| {
            for program in &programs {
                scope.spawn(|| program.sha256());
            }
            let mut parser = Parser::new(knowledge, chip);
            self.read(context, |bytes| {
                for event in parser.push(bytes) {
                    log.add(event);
                }
            })?;
            for event in parser.finish() {
                log.add(event);
            }
            prepare(&log, &programs);
            Ok::<_, Error>(())
        })?;

        let force = if self.force { Force::Yes } else { Force::No };
        let judged = judge(&log, programs, force);
        let files = self.elf.iter().zip(&judged.verdict.files);
        let used: Vec<_> = files
            .filter(|(_, file)| file.used)
            .map(|(path, _)| path.as_path())
            .collect();
        if settings.is_none()
            && let Some(path) = used.iter().find_map(|elf| beside(elf))
            && let Ok(found) = sdkconfig(&path)
        {
            settings = Some(found);
            settings_path = Some(path);
        }
        let sources = SourceFiles::new(&used);
        let mut explanation = explain(
            &log,
            knowledge,
            &Inputs {
                symbols: &judged.symbols,
                elf: &judged.verdict,
                settings: settings.as_ref(),
                sources: Some(&sources),
            },
        );
        explanation.notes.extend(sources.note());
        let refused = judged.refused().map(str::to_owned);
        let report = ExplainReport {
            file: self.log_path().map(Path::to_owned),
            sdkconfig: settings.and(settings_path),
            html: self.html,
            explanation,
        };
        if let Some(path) = &report.html {
            let mut file = NewFile::create(path)?;
            let page = ui::explanation_page(&report);
            file.write_all(page.as_bytes())
                .map_err(|source| Error::Output {
                    path: path.clone(),
                    source,
                })?;
            file.finish()?;
        }
        context.screen.report(Report::Explain(Box::new(report)));
        match refused {
            Some(file) => Err(Error::OtherElf { file }),
            None => Ok(()),
        }
    }

    /// The log's file; `None`: standard input.
    fn log_path(&self) -> Option<&Path> {
        self.file.as_deref().filter(|path| *path != Path::new("-"))
    }

    /// Gives the log to `take`, piece by piece.
    fn read(&self, context: &mut Context, mut take: impl FnMut(&[u8])) -> Result<(), Error> {
        let mut input: Box<dyn Read> = match self.log_path() {
            Some(path) => {
                let file = File::open(path).map_err(|source| unreadable(path, source))?;
                if file.metadata().is_ok_and(|found| found.is_dir()) {
                    return Err(unreadable(path, io::ErrorKind::IsADirectory.into()));
                }
                Box::new(file)
            }
            None => {
                if io::stdin().is_terminal() {
                    context.screen.message(&Message::Note {
                        text: "paste the log, then end it with Ctrl-D on a line of its own (Ctrl-Z and \
                               Enter on Windows)"
                            .to_owned(),
                    });
                }
                Box::new(io::stdin().lock())
            }
        };
        let mut buffer = vec![0; CHUNK];
        loop {
            if context.cancel.is_cancelled() {
                return Err(Error::Interrupted {
                    state: String::new(),
                });
            }
            match input.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => take(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let path = self.log_path().unwrap_or(Path::new("-"));
                    return Err(unreadable(path, source));
                }
            }
        }
    }
}

/// A file of settings.
fn sdkconfig(path: &Path) -> Result<Sdkconfig, Error> {
    /// ESP-IDF's have 100 KB.
    const MOST: u64 = 8 << 20;
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MOST).read_to_end(&mut bytes))
        .map_err(|source| unreadable(path, source))?;
    Sdkconfig::parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| {
        Error::Usage(format!(
            "'{}' is no sdkconfig: it has not one setting",
            path.display()
        ))
    })
}

/// The settings beside an ELF file: ESP-IDF has them in the project above its build folder, PlatformIO
/// three above, by the name of the environment.
fn beside(elf: &Path) -> Option<PathBuf> {
    let folder = match elf.parent()? {
        here if here.as_os_str().is_empty() => Path::new("."),
        folder => folder,
    };
    let above = |folder: &Path| match folder.file_name() {
        Some(_) => folder.parent().unwrap_or(folder).to_owned(),
        None => folder.join(".."),
    };
    let project = above(folder);
    let mut places = vec![folder.join("sdkconfig"), project.join("sdkconfig")];
    let whole = fs::canonicalize(folder).ok();
    if let Some(environment) = whole.as_deref().and_then(Path::file_name) {
        let project = above(&above(&project));
        places.push(project.join(format!("sdkconfig.{}", environment.to_string_lossy())));
        places.push(project.join("sdkconfig"));
    }
    places.into_iter().find(|path| path.is_file())
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// The program in an ELF file.
fn program(path: &Path) -> Result<Program, Error> {
    /// The largest programs with debugging information have some ten megabytes.
    const MOST: u64 = 1 << 30;
    let read = |path: &Path| {
        let mut file = File::open(path)?;
        let found = file.metadata()?;
        if found.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if found.len() > MOST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0));
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read(path).map_err(|source| unreadable(path, source))?;
    if !bytes.starts_with(b"\x7fELF") {
        let file = path.display();
        return Err(Error::Usage(format!(
            "'{file}' is no ELF file; --elf takes what the linker made, beside the .bin file"
        )));
    }
    Program::new(path.display().to_string(), bytes).map_err(|error| match error {
        SymbolsError::Elf(error) => Error::Elf(error),
        SymbolsError::Read(error) => Error::Firmware(error.into()),
    })
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Input {
        path: path.to_owned(),
        source,
    }
}
