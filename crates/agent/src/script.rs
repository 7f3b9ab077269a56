//! Running one script: without a shell, in a process group of its own, and ended within its time.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use stalker_domain::wire::ScriptResult;
use tokio::process::Child;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::capture::{Capture, STDERR_CAP, STDOUT_CAP};
use crate::check::Check;
use crate::group::{TERM_GRACE, kill_group};
use crate::spawn::spawn;

/// The status of what could not be found out, by the rules of the plugins.
pub(crate) const UNKNOWN: i32 = 3;

/// How long pipes are read that outlive their script: a daemon that it started may hold them for ever.
const PIPE_GRACE: Duration = Duration::from_secs(1);
/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScriptError {
    /// It could not be started.
    #[error("{cmd}: {source}")]
    NotStarted {
        /// What should have been started.
        cmd: String,
        /// Why.
        source: io::Error,
    },
    /// The agent stops; that says nothing about what is checked.
    #[error("ended because the agent stops")]
    AgentStops,
}

/// Runs the check's script for at most `limit`. It is ended at once when `stop` is cancelled.
///
/// # Errors
/// [`ScriptError`]. A script that fails, hangs or is killed has a result.
pub(crate) async fn run(
    check: &Check,
    limit: Duration,
    stop: &CancellationToken,
) -> Result<ScriptResult, ScriptError> {
    let deadline = Instant::now() + limit;
    let mut child = spawn(check, deadline).await?;
    let mut stdout = Capture::new(child.stdout.take(), STDOUT_CAP);
    let mut stderr = Capture::new(child.stderr.take(), STDERR_CAP);
    let end = {
        let mut reading = pin!(async { tokio::join!(stdout.read_to_end(), stderr.read_to_end()) });
        let mut ending = pin!(end_of(&mut child, deadline, stop));
        let mut is_read = false;
        let end = loop {
            tokio::select! {
                end = &mut ending => break end,
                _ = &mut reading, if !is_read => is_read = true,
            }
        };
        if !is_read {
            // Running out of this time is an ordinary end of reading.
            let _ = timeout(PIPE_GRACE, reading).await;
        }
        end
    };
    let (out, out_is_cut) = stdout.into_text();
    let (err, err_is_cut) = stderr.into_text();
    let truncated = out_is_cut || err_is_cut;
    match end {
        End::Exited(status) => Ok(ScriptResult {
            status: status_code(status),
            out,
            err,
            truncated,
        }),
        End::TimedOut => {
            let out = format!("TIMED OUT after {} s\n{out}", limit.as_secs_f64().round())
                .trim_end()
                .to_owned();
            Ok(ScriptResult {
                status: UNKNOWN,
                out,
                err,
                truncated,
            })
        }
        End::Stopped => Err(ScriptError::AgentStops),
    }
}

enum End {
    Exited(ExitStatus),
    TimedOut,
    Stopped,
}

async fn end_of(child: &mut Child, deadline: Instant, stop: &CancellationToken) -> End {
    tokio::select! {
        status = child.wait() => match status {
            Ok(status) => End::Exited(status),
            // Somebody else has reaped it: what became of it cannot be known.
            Err(_) => End::Exited(ExitStatus::from_raw(UNKNOWN << 8)),
        },
        () = tokio::time::sleep_until(deadline) => {
            kill_group(child, TERM_GRACE).await;
            End::TimedOut
        }
        () = stop.cancelled() => {
            kill_group(child, Duration::ZERO).await;
            End::Stopped
        }
    }
}

/// The exit code; for signal n what a shell would say, 128 + n.
fn status_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::time::Instant as Clock;

    use nix::unistd::Pid;
    use stalker_domain::wire::RegisteredCheck;
    use tokio::time::sleep;

    use super::*;

    fn check_of(cmd: &Path, args: &str) -> Check {
        Check {
            name: "check_x".to_owned(),
            cmd: cmd.to_owned(),
            args: args.to_owned(),
            words: shell_words::split(args).expect("quotes are closed"),
            shell: false,
            env: BTreeMap::from([("KEY".to_owned(), "value".to_owned())]),
            timeout: Duration::from_secs(10),
            registered: RegisteredCheck {
                cmd: None,
                args: args.to_owned(),
                interval: 15,
                follow_up: 15,
                priority: None,
                timeout: None,
                alert_threshold: None,
                flap_threshold: None,
                flap_window: None,
            },
        }
    }

    struct Script {
        _dir: tempfile::TempDir,
        check: Check,
    }

    fn script(body: &str, args: &str) -> Script {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("script");
        fs::write(&path, body).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode set");
        Script {
            check: check_of(&path, args),
            _dir: dir,
        }
    }

    /// Runs `body` under `/bin/sh` with `args` and compares status, output and error output.
    async fn check(body: &str, args: &str, expected: (i32, &str, &str)) {
        let script = script(&format!("#!/bin/sh\n{body}\n"), args);
        let result = run(
            &script.check,
            script.check.timeout,
            &CancellationToken::new(),
        )
        .await
        .expect(body);
        assert_eq!(
            (result.status, result.out.as_str(), result.err.as_str()),
            expected,
            "{body}"
        );
    }

    #[tokio::test]
    async fn results() {
        check("echo OK - fine", "", (0, "OK - fine", "")).await;
        check("echo W; echo e >&2; exit 1", "", (1, "W", "e")).await;
        check("exit 42", "", (42, "", "")).await;
        check("kill -9 $$", "", (137, "", "")).await;
        check("kill -TERM $$", "", (143, "", "")).await;
        check("echo $LC_ALL $KEY", "", (0, "C value", "")).await;
        check("cat; echo end", "", (0, "end", "")).await;
        check(
            r#"printf '<%s>' "$@""#,
            r"-r '\d+$' $HOME *  a\ b;c",
            (0, r"<-r><\d+$><$HOME><*><a b;c>", ""),
        )
        .await;
        check(r"printf 'a\000b\377c'", "", (0, "a\u{fffd}b\u{fffd}c", "")).await;
    }

    #[tokio::test]
    async fn a_shell_where_asked_for() {
        let mut script = script("#!/bin/sh\necho \"$@\"\n", "$KEY | tr a-z A-Z");
        script.check.shell = true;
        let result = run(
            &script.check,
            script.check.timeout,
            &CancellationToken::new(),
        )
        .await
        .expect("runs");
        assert_eq!(result.out, "VALUE");
    }

    #[tokio::test]
    async fn no_program() {
        for body in ["just text\n", "#!/nowhere/interpreter\n"] {
            let script = script(body, "");
            let error = run(
                &script.check,
                script.check.timeout,
                &CancellationToken::new(),
            )
            .await
            .expect_err(body);
            assert!(matches!(error, ScriptError::NotStarted { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn much_output_is_cut_and_the_exit_code_counts() {
        let script = script(
            "#!/bin/sh\necho \"OK|a=1\"; head -c 100000000 /dev/zero | tr '\\0' x; exit 2\n",
            "",
        );
        let result = run(
            &script.check,
            Duration::from_secs(60),
            &CancellationToken::new(),
        )
        .await
        .expect("runs");
        assert_eq!(
            (result.status, result.out.len(), result.truncated),
            (2, STDOUT_CAP, true)
        );
        assert!(result.out.starts_with("OK|a=1\n"));
    }

    /// Ends by SIGTERM, and by SIGKILL; in both cases before the caller gives up, 5 s after the timeout.
    #[tokio::test]
    async fn a_script_that_never_ends() {
        for body in [
            "echo said; sleep 60",
            "trap '' TERM; echo said; while :; do sleep 0.1; done",
        ] {
            let script = script(&format!("#!/bin/sh\n{body}\n"), "");
            let begin = Clock::now();
            let timeout = Duration::from_secs(1);
            let result = run(&script.check, timeout, &CancellationToken::new())
                .await
                .expect(body);
            assert_eq!(
                (result.status, result.out.as_str()),
                (3, "TIMED OUT after 1 s\nsaid")
            );
            assert!(
                begin.elapsed() < timeout + Duration::from_secs(4),
                "{body}: {:?}",
                begin.elapsed()
            );
        }
    }

    #[tokio::test]
    async fn the_whole_group_is_ended() {
        let script = script(
            "#!/bin/sh\nsh -c 'trap \"\" TERM; echo $$; exec sleep 60' &\nwait\n",
            "",
        );
        let result = run(
            &script.check,
            Duration::from_secs(1),
            &CancellationToken::new(),
        )
        .await
        .expect("runs");
        let pid = result
            .out
            .lines()
            .last()
            .and_then(|pid| pid.parse().ok())
            .map(Pid::from_raw)
            .expect("a pid");
        // Its parent is gone, so it may stay a zombie for a moment; a zombie takes signals but has no command line.
        let command_line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(
            command_line.is_empty(),
            "{}",
            String::from_utf8_lossy(&command_line)
        );
    }

    #[tokio::test]
    async fn a_daemon_holds_nothing() {
        let begin = Clock::now();
        let script = script("#!/bin/sh\nsetsid sleep 5 &\necho OK\n", "");
        let result = run(
            &script.check,
            script.check.timeout,
            &CancellationToken::new(),
        )
        .await
        .expect("runs");
        assert_eq!((result.status, result.out.as_str()), (0, "OK"));
        assert!(begin.elapsed().as_secs_f64() < 2.0, "{:?}", begin.elapsed());
    }

    #[tokio::test]
    async fn a_file_that_is_still_written_is_waited_for() {
        let script = script("#!/bin/sh\necho OK\n", "");
        let writer = fs::OpenOptions::new()
            .append(true)
            .open(&script.check.cmd)
            .expect("opened");
        let close = async {
            sleep(Duration::from_millis(300)).await;
            drop(writer);
        };
        let stop = CancellationToken::new();
        let (result, ()) = tokio::join!(run(&script.check, script.check.timeout, &stop), close);
        assert_eq!(result.expect("runs").out, "OK");
    }

    #[tokio::test]
    async fn the_agent_stops() {
        let script = script("#!/bin/sh\nsleep 60\n", "");
        let stop = CancellationToken::new();
        stop.cancel();
        let error = run(&script.check, script.check.timeout, &stop)
            .await
            .expect_err("is ended");
        assert!(matches!(error, ScriptError::AgentStops));
    }
}
