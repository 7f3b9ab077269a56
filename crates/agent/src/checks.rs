//! From sections and drop-in scripts to the set of checks that the agent offers.
//!
//! A bad check costs only itself. While the agent runs, a check that *turns* bad stays as it was: a package that is
//! being upgraded or a typing error must not take a check, and its open alert, away from the server.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::check::{Check, Parsed, from_section};
use crate::config::Config;
use crate::dropins;
use crate::section::SettingError;

/// The checks by name.
pub type CheckSet = BTreeMap<String, Arc<Check>>;

/// What was found, and what is to be said about it.
#[derive(Debug, Default)]
pub struct Collected {
    /// The checks to offer.
    pub checks: CheckSet,
    /// Warnings and errors, each a sentence that names its file.
    pub reports: BTreeSet<String>,
    /// Some file has changed so lately that it may still be written: look again soon.
    pub is_unsettled: bool,
}

/// Puts the set together. `previous` is the set that is offered so far; `is_being_written` knows the files that
/// somebody has open for writing.
pub fn collect(
    config: &Config,
    previous: &CheckSet,
    is_being_written: impl Fn(&Path) -> bool,
) -> Collected {
    let mut collected = Collected::default();
    for section in &config.sections {
        collected.add(
            &section.name,
            from_section(section.clone(), &config.settings),
            previous,
        );
    }
    for found in dropins::scan(&config.settings, previous, is_being_written) {
        match found {
            dropins::Found::Check { name, check } => {
                if collected.checks.contains_key(&name) {
                    collected.reports.insert(format!(
                        "{}: [{name}] is also a script in {}: the script's definition is used",
                        config.file.display(),
                        config.settings.script_dir.display()
                    ));
                }
                collected.add(&name, check, previous);
            }
            dropins::Found::Kept(check) => {
                collected.checks.insert(check.name.clone(), check);
                collected.is_unsettled = true;
            }
            dropins::Found::Unsettled => collected.is_unsettled = true,
            dropins::Found::Report(report) => {
                collected.reports.insert(report);
            }
        }
    }
    collected
}

impl Collected {
    fn add(&mut self, name: &str, check: Result<Parsed, SettingError>, previous: &CheckSet) {
        match check {
            Ok(Parsed {
                check: None,
                warnings,
            }) => {
                self.reports.extend(warnings);
                self.checks.remove(name);
            }
            Ok(Parsed {
                check: Some(check),
                warnings,
            }) => {
                self.reports.extend(warnings);
                self.checks.insert(name.to_owned(), check);
            }
            Err(error) => match previous.get(name) {
                Some(earlier) => {
                    self.reports
                        .insert(format!("{error}; the check stays as it was"));
                    self.checks.insert(name.to_owned(), Arc::clone(earlier));
                }
                None => {
                    self.reports
                        .insert(format!("{error}; the check is skipped"));
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    struct Host {
        dir: tempfile::TempDir,
    }

    impl Host {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a folder");
            fs::create_dir(dir.path().join("scripts")).expect("a folder");
            Self { dir }
        }

        fn script(&self, name: &str, mode: u32) {
            let path = self.dir.path().join("scripts").join(name);
            fs::write(&path, "#!/bin/sh\nexit 0\n").expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode set");
        }

        async fn collect(&self, checks: &str, previous: &CheckSet) -> Collected {
            let file = self.dir.path().join("agent.conf");
            let scripts = self.dir.path().join("scripts");
            fs::write(
                &file,
                format!(
                    "[main]\nregister_key=k\nscript_dir={}\n{checks}",
                    scripts.display()
                ),
            )
            .expect("written");
            let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
            // Files of this test are always a moment old: wait until they count.
            loop {
                let collected = collect(&config, previous, |_| false);
                if !collected.is_unsettled {
                    return collected;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    #[tokio::test]
    async fn a_bad_check_costs_only_itself() {
        let host = Host::new();
        let collected = host.collect(
            "[good]\ncmd=/bin/true\nargs=-a 'b c'\ninterval=15\nenv={'K': 'V'}\n[off]\ncmd=/bin/true\nenabled=no\n\
             [no_cmd]\ninterval=1\n[gone]\ncmd=/nowhere/x\n[folder]\ncmd=/bin\n[often]\ncmd=/bin/true\ninterval=0\n\
             [quote]\ncmd=/bin/true\nargs='x\n[two words]\ncmd=/bin/true\n[dict]\ncmd=/bin/true\nenv={'K': 1}\n",
            &CheckSet::new(),
        ).await;
        assert_eq!(collected.checks.keys().collect::<Vec<_>>(), ["good"]);
        let good = &collected.checks["good"];
        assert_eq!(good.words, ["-a", "b c"]);
        assert_eq!(
            (good.registered.interval, good.registered.follow_up),
            (15, 15)
        );
        for place in [
            "[no_cmd] cmd",
            "[gone] cmd",
            "[folder] cmd",
            "[often] interval",
            "[quote] args",
            "[two words]",
            "[dict] env",
        ] {
            assert!(
                collected
                    .reports
                    .iter()
                    .any(|report| report.contains(place)),
                "{place}: {:?}",
                collected.reports
            );
        }
    }

    #[tokio::test]
    async fn a_check_that_turns_bad_stays_as_it_was() {
        let host = Host::new();
        let before = host
            .collect("[a]\ncmd=/bin/true\ninterval=15\n", &CheckSet::new())
            .await;
        let after = host
            .collect("[a]\ncmd=/bin/true\ninterval=x\n", &before.checks)
            .await;
        assert_eq!(after.checks, before.checks);
        let removed = host.collect("", &after.checks).await;
        assert!(removed.checks.is_empty());
    }

    #[tokio::test]
    async fn drop_ins() {
        let host = Host::new();
        for (name, mode) in [
            ("check_a", 0o755),
            ("both", 0o755),
            ("a.sh", 0o755),
            ("a$b", 0o755),
            ("plain", 0o644),
            ("x y", 0o755),
        ] {
            host.script(name, mode);
        }
        let scripts = host.dir.path().join("scripts");
        fs::write(
            scripts.join("check_a.cfg"),
            "[default]\nargs = -x 5%%\ninterval = 7\nfollow_up: 3\ncolour = red\n",
        )
        .expect("written");
        fs::write(scripts.join("empty"), "").expect("written");
        fs::set_permissions(scripts.join("empty"), fs::Permissions::from_mode(0o755))
            .expect("mode set");
        let collected = host
            .collect("[both]\ncmd=/bin/true\ninterval=15\n", &CheckSet::new())
            .await;
        assert_eq!(
            collected.checks.keys().collect::<Vec<_>>(),
            ["both", "check_a"]
        );
        assert_eq!(collected.checks["both"].cmd, scripts.join("both"));
        let registered = &collected.checks["check_a"].registered;
        assert_eq!(
            (
                registered.args.as_str(),
                registered.interval,
                registered.follow_up
            ),
            ("-x 5%", 7, 3)
        );
        for word in ["colour", "x y", "[both]"] {
            assert!(
                collected.reports.iter().any(|report| report.contains(word)),
                "{word}: {:?}",
                collected.reports
            );
        }
    }
}
