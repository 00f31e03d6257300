//! Output, errors and exit code of every command, as a user sees them, against chips in this
//! process. `TRYCMD=overwrite cargo test -p guru --test transcripts` writes them anew.

#[cfg(unix)]
#[test]
fn commands_say_what_the_transcripts_say() {
    trycmd::TestCases::new()
        .env("HOME", "/nonexistent")
        .env("NO_COLOR", "1")
        .case("tests/cmd/*.md");
}
