//! Follows the configuration and the scripts, and replaces the offer when they change.
//!
//! inotify tells at once; a look every minute is the net, for file systems and limits where it does not.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::checks::{CheckSet, collect};
use crate::config::Config;
use crate::dropins::is_settled;
use crate::offer::Offer;
use crate::settings::Settings;

/// The net.
const RESCAN: Duration = Duration::from_secs(60);
/// While a file may still be written.
const RESCAN_UNSETTLED: Duration = Duration::from_millis(500);
/// Changes come in bursts; this much silence ends one.
const QUIET: Duration = Duration::from_millis(300);
/// A burst that does not end is looked at anyway.
const LONGEST_BURST: Duration = Duration::from_secs(2);
/// A writer that was last seen so long ago is forgotten: some changes (truncate) have no end that could be seen.
const WRITER_FORGOTTEN: Duration = Duration::from_secs(60);

/// Looks at configuration and scripts, now and whenever they change.
pub(crate) struct Follower {
    config: Config,
    started_with: Arc<Settings>,
    /// The key that the agent made for itself, in case none is configured.
    own_check_key: String,
    /// What is offered at present.
    checks: CheckSet,
    /// What was said already, so that a minute later it is not said again.
    reported: BTreeSet<String>,
    seen: Arc<Mutex<Seen>>,
    watcher: Option<RecommendedWatcher>,
    events: mpsc::Receiver<()>,
}

impl Follower {
    pub(crate) fn new(config: Config, own_check_key: String) -> Self {
        let seen = Arc::new(Mutex::new(Seen::new(&config)));
        let (sender, events) = mpsc::channel(1);
        let notes = Arc::clone(&seen);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            if event.map_or(true, |event| notes.note(&event)) {
                // A full channel already tells what there is to tell.
                let _ = sender.try_send(());
            }
        });
        let watcher = watcher
            .inspect_err(|error| {
                tracing::warn!(
                    "changes are only found every {} s: {error}",
                    RESCAN.as_secs()
                )
            })
            .ok();
        let started_with = Arc::clone(&config.settings);
        let (checks, reported) = (CheckSet::new(), BTreeSet::new());
        Self {
            config,
            started_with,
            own_check_key,
            checks,
            reported,
            seen,
            watcher,
            events,
        }
    }

    /// Looks once, with the configuration as it was read.
    pub(crate) fn look(&mut self) -> Offer {
        self.watch();
        let seen = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let found = collect(&self.config, &self.checks, |path| {
            seen.is_being_written(path)
        });
        let reports = found
            .reports
            .into_iter()
            .chain(self.config.warnings.iter().cloned())
            .collect::<BTreeSet<_>>();
        for report in reports.difference(&self.reported) {
            tracing::warn!("{report}");
        }
        self.reported = reports;
        self.checks = found.checks.clone();
        let settings = Arc::clone(&self.config.settings);
        let check_key = settings
            .check_key
            .clone()
            .unwrap_or_else(|| self.own_check_key.clone());
        Offer {
            settings,
            checks: found.checks,
            check_key,
            is_unsettled: found.is_unsettled,
        }
    }

    /// Looks whenever something changes, until `shutdown`.
    pub(crate) async fn follow(
        mut self,
        mut hangup: Signal,
        offers: watch::Sender<Arc<Offer>>,
        shutdown: CancellationToken,
    ) {
        loop {
            let pause = if offers.borrow().is_unsettled {
                RESCAN_UNSETTLED
            } else {
                RESCAN
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(()) = hangup.recv() => tracing::info!("SIGHUP: looking at configuration and scripts"),
                Some(()) = self.events.recv() => self.wait_for_silence().await,
                () = sleep(pause) => {}
            }
            // Off the runtime: a folder may lie on a file system that does not answer.
            let looked = tokio::task::spawn_blocking(move || {
                let is_read = self.reload();
                let mut offer = self.look();
                offer.is_unsettled |= !is_read;
                (self, offer)
            });
            let Ok((follower, offer)) = looked.await else {
                return tracing::error!(
                    "changes of files are no longer followed: looking at them panicked"
                );
            };
            self = follower;
            offers.send_if_modified(|present| {
                let differs = **present != offer;
                if differs {
                    *present = Arc::new(offer);
                }
                differs
            });
        }
    }

    async fn wait_for_silence(&mut self) {
        let burst = async { while let Ok(Some(())) = timeout(QUIET, self.events.recv()).await {} };
        // Running out of this time is as good.
        let _ = timeout(LONGEST_BURST, burst).await;
    }

    /// Reads the file again; says false if it is just being written, for half a file would remove checks. What it
    /// says about `[main]` must be usable, else everything stays as it was.
    fn reload(&mut self) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_being_written = seen.is_being_written(&self.config.file);
        drop(seen);
        if is_being_written
            || std::fs::metadata(&self.config.file).is_ok_and(|file| !is_settled(&file))
        {
            return false;
        }
        match Config::load(&self.config.file) {
            Ok(mut config) => {
                let keys = config.settings.needs_restart(&self.started_with);
                if !keys.is_empty() {
                    let file = config.file.display();
                    config.warnings.push(format!(
                        "{file}: changed, but read only at the start: {}",
                        keys.join(", ")
                    ));
                }
                self.config = config;
            }
            Err(error) => {
                let error = anyhow::Error::from(error);
                self.config.warnings =
                    vec![format!("{error:#}; the configuration stays as it was")];
            }
        }
        true
    }

    /// Watching again is harmless, and needed after a folder was made anew.
    fn watch(&mut self) {
        let script_dir = &self.config.settings.script_dir;
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .script_dir
            .clone_from(script_dir);
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        for folder in [self.config.file.parent(), Some(script_dir.as_path())]
            .into_iter()
            .flatten()
        {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::debug!("{} cannot be watched: {error}", folder.display());
            }
        }
    }
}

/// What inotify has told.
#[derive(Clone)]
struct Seen {
    file: PathBuf,
    script_dir: PathBuf,
    /// The files that somebody has open for writing, and when they were last written to.
    writers: HashMap<PathBuf, Instant>,
}

impl Seen {
    fn new(config: &Config) -> Self {
        let script_dir = config.settings.script_dir.clone();
        Self {
            file: config.file.clone(),
            script_dir,
            writers: HashMap::new(),
        }
    }

    /// Takes an event in and says whether it is a reason to look. Reading and running are events too, and so is
    /// what happens to the configuration's neighbours.
    fn note(&mut self, event: &Event) -> bool {
        if event.need_rescan() {
            self.writers.clear();
            return true;
        }
        let mut is_reason = false;
        for path in event
            .paths
            .iter()
            .filter(|path| self.concerns(path))
            .cloned()
            .collect::<Vec<_>>()
        {
            is_reason |= match event.kind {
                EventKind::Modify(ModifyKind::Data(_)) => {
                    self.writers.insert(path, Instant::now());
                    true
                }
                EventKind::Access(AccessKind::Close(AccessMode::Write))
                | EventKind::Remove(_)
                | EventKind::Modify(ModifyKind::Name(_)) => {
                    self.writers.remove(&path);
                    true
                }
                EventKind::Access(_) => false,
                _ => true,
            };
        }
        is_reason
    }

    fn concerns(&self, path: &Path) -> bool {
        path == self.file || path == self.script_dir || path.parent() == Some(&self.script_dir)
    }

    fn is_being_written(&self, path: &Path) -> bool {
        self.writers
            .get(path)
            .is_some_and(|written| written.elapsed() < WRITER_FORGOTTEN)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tokio::signal::unix::{SignalKind, signal};
    use tokio::time;

    use super::*;

    /// Without any watcher, as where the limit of inotify instances is reached.
    #[tokio::test(start_paused = true)]
    async fn the_net_without_a_watcher() {
        let host = Host::new();
        let mut follower = host.follower();
        fs::create_dir_all(&host.scripts).expect("a folder");
        follower.watcher = None;
        host.finds_a_new_script_by_the_net(follower).await;
    }

    /// With a watcher that hears nothing of it: the folder of the scripts was not there to be watched.
    #[tokio::test(start_paused = true)]
    async fn the_net_below_a_deaf_watcher() {
        let host = Host::new();
        let follower = host.follower();
        assert!(follower.watcher.is_some(), "inotify can be had");
        host.finds_a_new_script_by_the_net(follower).await;
    }

    struct Host {
        folder: tempfile::TempDir,
        scripts: PathBuf,
    }

    impl Host {
        /// The folder of the scripts is missing, and not directly in the configuration's own, which is watched.
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let scripts = folder.path().join("below/scripts");
            let file = folder.path().join("agent.conf");
            let text = format!("[main]\nregister_key=k\nscript_dir={}\n", scripts.display());
            fs::write(file, text).expect("written");
            Self { folder, scripts }
        }

        fn follower(&self) -> Follower {
            let file = self.folder.path().join("agent.conf");
            let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
            Follower::new(config, String::new())
        }

        /// The clock is the runtime's and paused: it jumps from timer to timer, and what counts is where it stands.
        async fn finds_a_new_script_by_the_net(&self, mut follower: Follower) {
            let (sender, mut offers) = watch::channel(Arc::new(follower.look()));
            assert!(offers.borrow().checks.is_empty());
            fs::create_dir_all(&self.scripts).expect("a folder");
            // A link to what is long there: a new file would count only after a second of the real clock.
            symlink("/bin/sh", self.scripts.join("check_new")).expect("a link");

            let began = time::Instant::now();
            let hangup = signal(SignalKind::hangup()).expect("a signal can be listened for");
            let shutdown = CancellationToken::new();
            let following = tokio::spawn(follower.follow(hangup, sender, shutdown.clone()));
            let ample = RESCAN * 3;
            let changed = timeout(ample, offers.changed()).await;
            changed.expect("the script is found").expect("it follows");
            let waited = began.elapsed();
            assert!(offers.borrow().checks.contains_key("check_new"));
            // In whole seconds: a timer may come a millisecond late.
            assert_eq!(waited.as_secs(), 60, "by the net and by nothing else");
            shutdown.cancel();
            following.await.expect("no panic");
        }
    }
}
