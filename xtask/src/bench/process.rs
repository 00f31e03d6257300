//! The programs that are measured, and the simulator.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Job;
use crate::Result;

/// No command here takes a tenth of this.
const LIMIT: Duration = Duration::from_secs(600);

/// What a run cost this machine.
pub struct Cost {
    /// From start to end.
    pub wall: Duration,
    /// Most memory that was resident, in bytes; `None` where the system does not tell.
    pub memory: Option<u64>,
}

/// Runs a client to its end, which must be a good one.
pub fn run(command: Command, folder: &Path) -> Result<Cost> {
    run_to(0, command, folder)
}

/// Runs a client to its end, with this exit code.
pub fn run_to(code: i32, mut command: Command, folder: &Path) -> Result<Cost> {
    for name in [
        "ESPTOOL_PORT",
        "ESPTOOL_BAUD",
        "ESPTOOL_CHIP",
        "ESPTOOL_CFGFILE",
    ] {
        command.env_remove(name);
    }
    command
        .current_dir(folder)
        .env("HOME", folder)
        .stdin(Stdio::null())
        .stdout(fs::File::create(folder.join("output"))?)
        .stderr(fs::File::create(folder.join("errors"))?);
    let begin = Instant::now();
    let mut child = command.spawn()?;
    let mut memory = None;
    let status = loop {
        memory = peak(child.id()).or(memory);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begin.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            return Err(format!("{command:?} takes too long").into());
        }
        thread::sleep(Duration::from_micros(500));
    };
    let wall = begin.elapsed();
    if status.code() != Some(code) {
        let said = |name| fs::read_to_string(folder.join(name)).unwrap_or_default();
        return Err(format!(
            "{command:?}: {status}\n{}{}",
            said("output"),
            said("errors")
        )
        .into());
    }
    Ok(Cost { wall, memory })
}

/// Peak of resident memory so far, in bytes (Linux).
fn peak(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// What a command costs that does the same each time.
pub struct Usage {
    /// Of one run: user and system, children included; `None` where the system does not tell.
    pub cpu: Option<Duration>,
    /// Most memory that was resident in any run, in bytes.
    pub memory: Option<u64>,
}

/// Runs commands in turns, each until the ticks by which the system counts are small beside what it took.
/// A time at which the machine is slow is then one for all of them.
pub fn usages<const N: usize>(
    commands: [&dyn Fn() -> Command; N],
    folder: &Path,
) -> Result<[Usage; N]> {
    const TURNS: u32 = 4;
    const ENOUGH: Duration = Duration::from_millis(250);
    const MOST_RUNS: u32 = 25;
    let mut sums = [const { (0, Some(Duration::ZERO), None) }; N];
    for _ in 0..TURNS {
        for (command, (runs, cpu, memory)) in commands.iter().zip(&mut sums) {
            let begin = spent(By::Children);
            let since = || Some(spent(By::Children)?.saturating_sub(begin?));
            for _ in 0..MOST_RUNS {
                *memory = (*memory).max(run(command(), folder)?.memory);
                *runs += 1;
                if since().is_some_and(|since| since >= ENOUGH) {
                    break;
                }
            }
            *cpu = cpu.zip(since()).map(|(cpu, since)| cpu + since);
        }
    }
    Ok(sums.map(|(runs, cpu, memory)| Usage {
        cpu: cpu.map(|cpu| cpu / runs),
        memory,
    }))
}

/// CPU time that work in this process takes.
pub fn own(work: impl FnOnce()) -> Option<Duration> {
    let begin = spent(By::Itself)?;
    work();
    Some(spent(By::Itself)?.saturating_sub(begin))
}

/// Whose CPU time is asked for, by where `/proc` has it: utime and stime, fields 14 and 15, or
/// cutime and cstime of children that have ended, fields 16 and 17.
#[derive(Debug, Clone, Copy)]
enum By {
    Itself = 11,
    Children = 13,
}

/// CPU time so far, in whole ticks (Linux).
fn spent(by: By) -> Option<Duration> {
    /// The unit of `/proc` on every Linux, USER_HZ.
    const TICK: Duration = Duration::from_millis(10);
    let status = fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the program's name, which may hold anything, field 3 is next.
    let (_, fields) = status.rsplit_once(") ")?;
    let ticks = fields.split(' ').skip(by as usize).take(2);
    let ticks: u32 = ticks
        .map(|ticks| ticks.parse::<u32>().ok())
        .sum::<Option<_>>()?;
    Some(TICK * ticks)
}

/// What a start costs.
pub struct Startup {
    /// The fastest of several.
    pub best: Duration,
    /// The one in the middle.
    pub median: Duration,
    /// Most memory that was resident, in bytes.
    pub memory: Option<u64>,
}

/// Starts a program many times.
pub fn startup(command: impl Fn() -> Command) -> Result<Startup> {
    let mut times = Vec::new();
    for _ in 0..11 {
        let begin = Instant::now();
        let output = command().stdin(Stdio::null()).output()?;
        times.push(begin.elapsed());
        if !output.status.success() {
            return Err(format!("{:?}: {}", command(), output.status).into());
        }
    }
    times.sort();
    let folder = std::env::temp_dir();
    // A start may be over before its memory is looked at.
    let memory = (0..20)
        .filter_map(|_| run(command(), &folder).ok()?.memory)
        .max();
    Ok(Startup {
        best: times[0],
        median: times[times.len() / 2],
        memory,
    })
}

/// `guru sim`; it ends with this value.
pub struct Simulator {
    child: Child,
    /// What a client takes for `--port`.
    pub port: String,
}

impl Simulator {
    pub fn start(guru: &Path, job: &Job, flash: &Path) -> Result<Self> {
        let mut child = Command::new(guru)
            .args([
                "sim",
                job.chip,
                "--fast",
                "--tcp",
                "127.0.0.1:0",
                "--format",
                "json",
            ])
            .arg("--flash")
            .arg(flash)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("the simulator has no output")?;
        let mut simulator = Self {
            child,
            port: String::new(),
        };
        let mut lines = BufReader::new(stdout);
        let mut first = String::new();
        lines.read_line(&mut first)?;
        let begin = first
            .find("socket://")
            .ok_or("the simulator names no port")?;
        let end = first[begin..]
            .find('"')
            .ok_or("the simulator names no port")?;
        simulator.port = first[begin..begin + end].to_owned();
        // Reads on, so that the simulator can always write.
        thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Ok(simulator)
    }

    /// Host and port.
    pub fn address(&self) -> Result<&str> {
        Ok(self
            .port
            .strip_prefix("socket://")
            .ok_or("not a TCP port")?)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
