//! What processes have used so far, as Linux counts it.

use std::collections::BTreeMap;
use std::fs;

/// Microseconds of a tick: Linux counts in hundredths of a second, whatever the machine.
const TICK_US: u64 = 10_000;

/// Microseconds of processor time that a process and its threads have used; 0 if it is gone.
pub(crate) fn of(pid: u32) -> u64 {
    stat(pid).map_or(0, |stat| stat.own)
}

/// The same of a process, its children, and those that it has seen end: PostgreSQL's.
pub(crate) fn of_family(parent: u32) -> u64 {
    let Some(head) = stat(parent) else { return 0 };
    let members = family(parent).into_values().map(|stat| stat.own);
    head.own + head.ended + members.sum::<u64>()
}

/// The same of the children of a process that it has seen end.
pub(crate) fn of_ended_children(pid: u32) -> u64 {
    stat(pid).map_or(0, |stat| stat.ended)
}

/// Resident memory of a process in bytes; none if it is gone.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kb: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kb * 1024)
}

/// The processes below this one.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    family(parent).into_keys().collect()
}

/// The process above this one, if it is on this machine and called so.
pub(crate) fn parent_of(pid: u32, name: &str) -> Option<u32> {
    let stat = stat(pid).filter(|stat| stat.name == name)?;
    Some(stat.parent)
}

fn family(parent: u32) -> BTreeMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let members = pids.filter_map(|pid| Some((pid, stat(pid)?)));
    members.filter(|(_, stat)| stat.parent == parent).collect()
}

struct Stat {
    name: String,
    parent: u32,
    /// Microseconds of its own …
    own: u64,
    /// … and of its children that have ended.
    ended: u64,
}

/// Reads `/proc/PID/stat`, whose second field is a name in parentheses that may hold anything.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, rest) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        name: name.to_owned(),
        parent: u32::try_from(number(4)?).ok()?,
        own: (number(14)? + number(15)?) * TICK_US,
        ended: (number(16)? + number(17)?) * TICK_US,
    })
}
