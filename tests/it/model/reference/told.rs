//! What each channel must have been told (semantics.md, decisions 5 to 8). What the rules leave to chance, or receivers
//! cannot see, is allowed and not demanded: the moment of a further try, and what was under way when its sender died.

use std::collections::{BTreeMap, BTreeSet};

use super::super::rules::{REPEAT, Time};
use super::Reference;

/// Everything is told here; what it does not take goes to [`BACKUP`].
pub(in super::super) const PAGER: &str = stalker_tests::stage::PAGER;
/// What happens on web1 is told here too.
pub(in super::super) const CHAT: &str = "chat";
pub(in super::super) const BACKUP: &str = "backup";
/// A fallback stands behind the channel of which it is one.
pub(in super::super) const CHANNELS: [&str; 3] = [PAGER, CHAT, BACKUP];

/// One request that a receiver got.
#[derive(Debug, Clone)]
pub(in super::super) struct Sent {
    pub(in super::super) channel: String,
    pub(in super::super) id: i64,
    pub(in super::super) is_resolve: bool,
    pub(in super::super) answer: u16,
}

/// What befalls the way to the receivers.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct World {
    /// Channels whose receivers refuse connections.
    pub(in super::super) cut: BTreeSet<&'static str>,
    /// Senders died within this event.
    pub(in super::super) senders_died: bool,
}

/// One alert and one channel.
#[derive(Debug, Clone)]
pub(super) struct Telling {
    /// It is a target, or may have become one without anybody seeing why.
    is_target: bool,
    last: Last,
    /// Failures of the last trigger or repeat that the receiver saw.
    failures: usize,
    /// A trigger may have arrived: certainly so, or for all that is known.
    arrived: bool,
    may_have_arrived: bool,
    resolve: Resolve,
    /// It is owed, and waits for the end of a burst.
    held: bool,
}

/// The last trigger or repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    None,
    /// It was not taken, and is tried again at some time.
    Trying,
    /// It was accepted, or refused for good.
    Settled(Time),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolve {
    None,
    Trying,
    Over,
}

impl Telling {
    fn new(is_target: bool) -> Self {
        Self {
            is_target,
            last: Last::None,
            failures: 0,
            arrived: false,
            may_have_arrived: false,
            resolve: Resolve::None,
            held: false,
        }
    }

    /// Somebody tried to tell it before this event, whether or not a receiver saw that.
    pub(super) fn is_tried(&self) -> bool {
        self.last != Last::None
    }

    /// For another alert that concerns the same channel.
    pub(super) fn untold(&self) -> Self {
        Self::new(self.is_target)
    }
}

pub(super) fn routed(hostname: &str) -> BTreeMap<&'static str, Telling> {
    let mut channels = BTreeMap::from([(PAGER, Telling::new(true))]);
    if hostname == "web1" {
        channels.insert(CHAT, Telling::new(true));
    }
    channels
}

/// What is so of an alert now.
struct Standing {
    open: bool,
    suppressed: bool,
    held: bool,
    owned: bool,
    /// It closed within this event.
    closes: bool,
}

impl Reference {
    /// Compares what arrived, in its order, with what had to; [`Reference::reconcile`] comes before.
    pub(in super::super) fn tell(&mut self, sent: &[Sent], world: &World) -> Result<(), String> {
        for page in sent {
            if !CHANNELS.contains(&page.channel.as_str())
                || !self
                    .alert(page.id)?
                    .telling
                    .contains_key(page.channel.as_str())
            {
                // a fallback becomes a target below, in this very event
                if page.channel != BACKUP {
                    return Err(format!(
                        "{} does not concern {}",
                        self.alert(page.id)?.shown(),
                        page.channel
                    ));
                }
            }
        }
        for index in 0..self.alerts.len() {
            for channel in CHANNELS {
                let of_this =
                    |page: &&Sent| page.id == self.alerts[index].id && page.channel == channel;
                let pages: Vec<&Sent> = sent.iter().filter(of_this).collect();
                self.tell_one(index, channel, &pages, world)
                    .map_err(|why| {
                        format!(
                            "{channel}, {}: {why}; {pages:?}; {:?}",
                            self.alerts[index].shown(),
                            self.alerts[index].telling.get(channel)
                        )
                    })?;
            }
        }
        Ok(())
    }

    fn tell_one(
        &mut self,
        index: usize,
        channel: &'static str,
        pages: &[&Sent],
        world: &World,
    ) -> Result<(), String> {
        let now = self.now;
        let alert = &self.alerts[index];
        let standing = Standing {
            open: alert.is_open(),
            suppressed: self.is_suppressed(alert),
            held: self.is_burst(),
            owned: self.is_owned(alert),
            closes: alert.closed_at.is_some_and(|at| at >= self.began),
        };
        let is_cut = world.cut.contains(channel);
        let Some(telling) = self.alerts[index].telling.get_mut(channel) else {
            return if pages.is_empty() {
                Ok(())
            } else {
                Err("it is no target".to_owned())
            };
        };
        let triggers = pages.iter().filter(|page| !page.is_resolve).count();
        let resolves = pages.len() - triggers;
        let most = if world.senders_died { 4 } else { 1 };
        if triggers > most || resolves > most || (resolves > 0 && telling.resolve == Resolve::Over)
        {
            return Err("told more than once".to_owned());
        }

        let is_sayable = standing.open && !standing.suppressed;
        let is_due = match telling.last {
            Last::None => true,
            Last::Settled(at) => now - at >= REPEAT && !standing.owned,
            Last::Trying => false,
        };
        let must = is_sayable && telling.is_target && is_due;
        let may = must
            || (is_sayable && (is_due || telling.last == Last::Trying))
            || (world.senders_died && telling.last == Last::Trying)
            // what waited for its time may go out at the very moment that ends its alert
            || (standing.closes && (telling.held || telling.last == Last::Trying));
        if triggers > 0 && !may {
            return Err(if standing.suppressed {
                "told while suppressed"
            } else {
                "told for nothing"
            }
            .to_owned());
        }
        if must && triggers == 0 && !is_cut && !standing.held {
            return Err("not told".to_owned());
        }
        let is_repeat = matches!(telling.last, Last::Settled(_));
        let is_under_way = must || telling.last == Last::Trying;
        telling.held = must && triggers == 0 && standing.held;
        if is_cut && must {
            (telling.last, telling.failures) = (Last::Trying, 0);
        }
        telling.may_have_arrived |= world.senders_died && is_under_way;

        let (mut refused, mut dead_letters) = (false, 0);
        for page in pages {
            if page.is_resolve {
                telling.resolve = if page.answer >= 429 {
                    Resolve::Trying
                } else {
                    Resolve::Over
                };
                dead_letters += usize::from(page.answer == 400);
                continue;
            }
            if telling.resolve != Resolve::None {
                return Err("told after its resolve".to_owned());
            }
            telling.is_target = true;
            telling.arrived |= page.answer < 300 || page.answer >= 500;
            if telling.last != Last::Trying {
                telling.failures = 0;
            }
            telling.failures += usize::from(page.answer >= 500);
            telling.last = if page.answer >= 429 {
                Last::Trying
            } else {
                Last::Settled(now)
            };
            refused |= page.answer == 400;
        }
        dead_letters += usize::from(refused);

        let must_resolve =
            !standing.open && telling.arrived && telling.resolve == Resolve::None && resolves == 0;
        if must_resolve && !is_cut {
            return Err("not resolved".to_owned());
        }
        if must_resolve {
            telling.resolve = Resolve::Trying;
        }
        if resolves > 0 && (standing.open || !(telling.arrived || telling.may_have_arrived)) {
            return Err("resolved for nothing".to_owned());
        }

        let surely = refused || telling.failures >= 3;
        let perhaps = telling.last == Last::Trying;
        self.happened.triggers += usize::from(triggers > 0 && !is_repeat);
        self.happened.repeats += usize::from(triggers > 0 && is_repeat);
        self.happened.resolves += usize::from(resolves > 0);
        self.happened.dead_letters += dead_letters;
        if channel == PAGER && standing.open && (surely || perhaps) {
            self.fall_back(index, surely);
        }
        Ok(())
    }

    fn fall_back(&mut self, index: usize, surely: bool) {
        let telling = self.alerts[index]
            .telling
            .entry(BACKUP)
            .or_insert_with(|| Telling::new(false));
        self.happened.to_fallback += usize::from(surely && !telling.is_target);
        telling.is_target |= surely;
    }

    /// Once nothing suppresses and time has passed: whatever is open was told, or its flood was.
    pub(in super::super) fn nothing_is_forgotten(&self) -> Result<(), String> {
        for alert in self
            .alerts
            .iter()
            .filter(|alert| alert.is_open() && alert.priority > 0)
        {
            let flood = alert.parent.map(|parent| self.alert(parent)).transpose()?;
            if flood.is_none() && self.is_suppressed(alert) {
                return Err(format!("{} is suppressed still", alert.shown()));
            }
            for (channel, telling) in alert
                .telling
                .iter()
                .filter(|(_, telling)| telling.is_target)
            {
                let told = flood
                    .and_then(|flood| flood.telling.get(channel))
                    .unwrap_or(telling);
                if flood.is_none_or(|flood| flood.parent.is_none())
                    && !matches!(told.last, Last::Settled(_))
                {
                    return Err(format!(
                        "{channel} was not told of {}: {told:?}",
                        alert.shown()
                    ));
                }
            }
        }
        Ok(())
    }

    /// At the end: nothing is open, and whoever was told knows that it is over.
    pub(in super::super) fn all_is_over(&self) -> Result<(), String> {
        for alert in &self.alerts {
            if alert.is_open() {
                return Err(format!("{} is open still", alert.shown()));
            }
            for (channel, telling) in &alert.telling {
                if telling.arrived && telling.resolve != Resolve::Over {
                    return Err(format!(
                        "{channel} does not know the end of {}",
                        alert.shown()
                    ));
                }
            }
        }
        Ok(())
    }
}
