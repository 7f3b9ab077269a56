//! What may befall the hosts, the people and the processes of a case: random, and shrinking to less.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;

use super::reference::{CHANNELS, CheckName, PAGER};
use super::rules::Time;

/// The hosts, and how many checks each has: `check_1` and so on.
pub(super) const HOSTS: [(&str, usize); 4] = [("web1", 4), ("web2", 4), ("web3", 5), ("web4", 2)];
/// Never told.
const NEVER_TOLD: &str = "web3/check_5";
/// Less urgent than the others.
const LESS_URGENT: &str = "web2/check_4";

/// Where, when and to whom everything happens.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// Outcomes are recorded by the test itself, many in one transaction; else workers call agents.
    pub(super) direct: bool,
    pub(super) steps: Vec<Step>,
}

/// An index into [`all_checks`].
type Index = usize;

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// These run once and end so.
    Run(Vec<Index>, u8),
    /// They run twice.
    Break(Vec<Index>, u8),
    BreakHost(&'static str),
    BreakAll,
    MendAll,
    /// It fails and recovers in turn, so often and after so many seconds.
    Flap(Index, usize, Time),
    HostGoes(&'static str),
    HostReturns(&'static str),
    HostFlaps(&'static str, usize),
    /// Time passes, and everything runs.
    Pass(Time),
    /// Time passes, and nothing runs.
    Wait(Time),
    /// Of a host or one of its checks, in so many seconds and for so long.
    Maintain(Index, bool, Time, Time),
    EndMaintenances,
    Suspend(Index),
    Resume(Index),
    Remove(Index),
    /// Registers again what was removed or deleted.
    Return(Index),
    Delete(Index),
    DeleteHost(&'static str),
    Prioritise(Index, u8),
    Own(Index),
    /// Answers of a receiver to what comes next.
    Answers(&'static str, Vec<u16>),
    Cut(&'static str),
    Splice(&'static str),
    RestartWorker,
    RestartScheduler,
    KillAll,
    /// They run, and meanwhile a worker and a scheduler are killed.
    RunAndKill(Vec<Index>, u8),
}

/// How many ways there are to begin a story.
pub(super) const OPENINGS: usize = 6;

/// Stories that begin in one of the [`OPENINGS`]: so nothing that matters is left to luck.
pub(super) fn cases(opening: usize) -> impl Strategy<Value = Case> {
    (any::<bool>(), vec(steps(), 8..16)).prop_map(move |(direct, steps)| {
        let steps = self::opening(opening).into_iter().chain(steps).collect();
        Case { direct, steps }
    })
}

fn opening(n: usize) -> Vec<Step> {
    use Step::*;
    match n {
        0 => vec![BreakAll, Wait(140), Run((0..12).collect(), 0), Wait(140)],
        1 => vec![BreakHost("web2"), HostGoes("web1"), HostReturns("web1")],
        2 => vec![Maintain(0, true, 0, 600), Break(vec![0, 4], 2), Wait(620)],
        3 => vec![
            Answers(PAGER, vec![400, 500, 500, 500]),
            Break(vec![0, 5], 2),
            Wait(20),
            Wait(20),
        ],
        4 => vec![Flap(8, 13, 120)],
        5 => vec![
            Break(vec![1, 6, 13], 2),
            Pass(14_420),
            Remove(1),
            Return(1),
            Delete(6),
            DeleteHost("web4"),
        ],
        _ => Vec::new(),
    }
}

fn steps() -> impl Strategy<Value = Step> {
    use Step::*;
    let host = || (0..HOSTS.len()).prop_map(|index| HOSTS[index].0);
    let check = || 0..all_checks().len();
    let checks = || subsequence((0..all_checks().len()).collect::<Vec<_>>(), 1..6);
    let channel = || (0..CHANNELS.len()).prop_map(|index| CHANNELS[index]);
    let answer = prop_oneof![2 => Just(500_u16), 3 => Just(400), 1 => Just(429), 1 => Just(200)];
    let seconds = prop_oneof![4 => Just(20), 4 => Just(60), 4 => Just(140), 3 => Just(620), 1 => Just(14_420)].boxed();
    prop_oneof![
        4 => (checks(), 0_u8..4).prop_map(|(checks, status)| Run(checks, status)),
        6 => (checks(), 1_u8..4).prop_map(|(checks, status)| Break(checks, status)),
        3 => checks().prop_map(|checks| Run(checks, 0)),
        3 => host().prop_map(BreakHost),
        3 => Just(BreakAll),
        2 => Just(MendAll),
        3 => (check(), 3_usize..7, 1..4_i64).prop_map(|(check, flips, minutes)| Flap(check, flips, minutes * 60)),
        1 => check().prop_map(|check| Flap(check, 13, 120)),
        3 => host().prop_map(HostGoes),
        3 => host().prop_map(HostReturns),
        1 => (host(), 2_usize..5).prop_map(|(host, n)| HostFlaps(host, n)),
        4 => seconds.clone().prop_map(Pass),
        4 => seconds.prop_map(Wait),
        4 => (check(), any::<bool>(), 0..3_i64, 1..30_i64).prop_map(|(check, whole, from, length)| Maintain(check, whole, from * 60, length * 60)),
        1 => Just(EndMaintenances),
        2 => check().prop_map(Suspend),
        2 => check().prop_map(Resume),
        2 => check().prop_map(Remove),
        2 => check().prop_map(Return),
        1 => check().prop_map(Delete),
        1 => host().prop_map(DeleteHost),
        1 => (check(), 0_u8..3).prop_map(|(check, priority)| Prioritise(check, priority)),
        2 => check().prop_map(Own),
        4 => (channel(), vec(answer, 1..5)).prop_map(|(channel, answers)| Answers(channel, answers)),
        1 => channel().prop_map(Cut),
        2 => channel().prop_map(Splice),
        1 => Just(RestartWorker),
        1 => Just(RestartScheduler),
        1 => Just(KillAll),
        3 => (checks(), 0_u8..4).prop_map(|(checks, status)| RunAndKill(checks, status)),
    ]
}

pub(super) fn all_checks() -> Vec<CheckName> {
    HOSTS
        .iter()
        .flat_map(|(host, n)| of_host(host, *n))
        .collect()
}

pub(super) fn checks_of(hostname: &str) -> Vec<CheckName> {
    HOSTS
        .iter()
        .filter(|(host, _)| *host == hostname)
        .flat_map(|(host, n)| of_host(host, *n))
        .collect()
}

fn of_host(host: &str, n: usize) -> Vec<CheckName> {
    (1..=n).map(|i| format!("{host}/check_{i}")).collect()
}

pub(super) fn first_priority(check: &str) -> u8 {
    match check {
        NEVER_TOLD => 0,
        LESS_URGENT => 2,
        _ => 1,
    }
}
