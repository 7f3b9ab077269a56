//! `postmaster.pid`: is a server running on these data, and does it accept connections?

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::unistd::Pid;

/// A live server on the data in question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Postmaster {
    pub(crate) pid: Pid,
    /// It accepts connections.
    pub(crate) ready: bool,
}

/// The server that runs on `data`. A file whose process is gone, or is by now somebody else's, is no server.
pub(crate) fn running(data: &Path) -> Option<Postmaster> {
    let text = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let postmaster = parse(&text)?;
    // The command line and not the working directory: the latter of another account's process is hidden even from
    // root in a container without ptrace.
    let command_line = std::fs::read(format!("/proc/{}/cmdline", postmaster.pid)).ok()?;
    is_server_of(&command_line, data).then_some(postmaster)
}

/// Removes a `postmaster.pid` whose number meanwhile belongs to another program: PostgreSQL would take that one for a
/// running server and refuse to start. A file of a process that is gone is left to PostgreSQL, which also looks for
/// that server's surviving children.
pub(crate) fn remove_stale_pid_file(data: &Path) -> std::io::Result<()> {
    let file = data.join("postmaster.pid");
    let Some(named) = std::fs::read_to_string(&file)
        .ok()
        .as_deref()
        .and_then(parse)
    else {
        return Ok(());
    };
    if running(data).is_none() && Path::new(&format!("/proc/{}", named.pid)).exists() {
        std::fs::remove_file(file)?;
    }
    Ok(())
}

/// The first line is the process id, the eighth the status: documented in PostgreSQL's `utils/pidfile.h`.
fn parse(text: &str) -> Option<Postmaster> {
    let mut lines = text.lines();
    let pid = lines.next()?.trim().parse().ok()?;
    let ready = lines.nth(6).is_some_and(|status| status.trim() == "ready");
    Some(Postmaster {
        pid: Pid::from_raw(pid),
        ready,
    })
}

/// We start every server with `-D` and this very path, so one of ours is recognised by it.
fn is_server_of(command_line: &[u8], data: &Path) -> bool {
    let mut words = command_line.split(|&byte| byte == 0);
    let program = words.next().unwrap_or_default();
    let program = program
        .rsplit(|&byte| byte == b'/')
        .next()
        .unwrap_or_default();
    program == b"postgres" && words.any(|word| word == data.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eighth_line_tells_whether_it_is_ready() {
        let file = "4711\n/srv/pg/data\n1700000000\n5432\n/srv/pg/run\n\n 12345 1\n";
        let check = |text: &str, expected| {
            assert_eq!(
                parse(text).map(|found| (found.pid.as_raw(), found.ready)),
                expected,
                "{text}"
            );
        };
        check(file, Some((4711, false)));
        check(&format!("{file}starting\n"), Some((4711, false)));
        check(&format!("{file}ready   \n"), Some((4711, true)));
        check("", None);
        check("nonsense\n", None);
    }

    #[test]
    fn a_process_is_ours_only_with_our_data() {
        let data = Path::new("/srv/pg/data");
        assert!(is_server_of(
            b"/usr/lib/postgresql/15/bin/postgres\0-D\0/srv/pg/data\0",
            data
        ));
        assert!(!is_server_of(
            b"/usr/lib/postgresql/15/bin/postgres\0-D\0/srv/other\0",
            data
        ));
        assert!(!is_server_of(b"/bin/sleep\0/srv/pg/data\0", data));
        assert!(!is_server_of(b"", data));
    }
}
