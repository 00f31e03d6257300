//! A checkout of ESP-IDF, or a bare repository of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use crate::Result;

pub struct Checkout {
    folder: String,
    revision: String,
    /// As `git describe` tells it.
    pub version: String,
}

impl Checkout {
    /// `FOLDER` or `FOLDER@REVISION`.
    pub fn open(source: &str) -> Result<Self> {
        let (folder, revision) = source.rsplit_once('@').unwrap_or((source, "HEAD"));
        let version = git(folder, &["describe", "--tags", "--always", revision])?;
        Ok(Self {
            folder: folder.to_owned(),
            revision: revision.to_owned(),
            version: version.trim().to_owned(),
        })
    }

    /// Paths and texts of the files that are wanted, in the order of the paths.
    pub fn files(&self, wanted: fn(&str) -> bool) -> Result<Vec<(String, String)>> {
        let tree = git(
            &self.folder,
            &[
                "ls-tree",
                "-r",
                "--name-only",
                &self.revision,
                "components/",
            ],
        )?;
        let paths: Vec<&str> = tree.lines().filter(|path| wanted(path)).collect();
        let mut reader = Command::new("git")
            .args(["-C", &self.folder, "cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(mut names), Some(contents)) = (reader.stdin.take(), reader.stdout.take()) else {
            return Err("git has no pipes".into());
        };
        let request: String = paths
            .iter()
            .map(|path| format!("{}:{path}\n", self.revision))
            .collect();
        // git answers while it is asked, so both must go on at the same time.
        let asking = std::thread::spawn(move || names.write_all(request.as_bytes()));
        let mut contents = BufReader::new(contents);
        let mut files = Vec::new();
        for path in paths {
            let mut head = String::new();
            contents.read_line(&mut head)?;
            let size: usize = head
                .split_whitespace()
                .nth(2)
                .and_then(|size| size.parse().ok())
                .ok_or_else(|| format!("git does not have {path}: {head}"))?;
            let mut bytes = vec![0; size + 1];
            contents.read_exact(&mut bytes)?;
            bytes.pop();
            files.push((
                path.to_owned(),
                String::from_utf8_lossy(&bytes).into_owned(),
            ));
        }
        asking.join().map_err(|_| "the asking thread died")??;
        reader.wait()?;
        Ok(files)
    }
}

fn git(folder: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .args(["-C", folder])
        .args(arguments)
        .output()?;
    if !output.status.success() {
        return Err(format!(
            "git {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
