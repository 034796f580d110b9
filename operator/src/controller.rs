//! The one loop: what the watches bring → the World → what is to be looked at → what is due → launches and Events.
//!
//! It alone has the World, so nothing is locked, and all that it waits for is in one `select`.

mod intake;
mod launches;
mod look;
mod refusals;
mod role;
mod speech;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio::{pin, select};
use tracing::{error, info, warn};

use self::refusals::Refusals;
use self::role::Role;
use crate::clock::{Clock, Moment, Now};
use crate::decision::Launch;
use crate::error::{LaunchError, chain};
use crate::job::parts::Settings;
use crate::launch::LAUNCH_TIMEOUT;
use crate::lease::Held;
use crate::notice::Notice;
use crate::plan::Terms;
use crate::queue::Queue;
use crate::seen::change::Change;
use crate::seen::job::KnownJob;
use crate::seen::metadata::Uid;
use crate::seen::world::World;
use crate::server::Health;
use crate::slots::{Limits, Slots};
use crate::standing::Standing;
use crate::voice::Voice;
use crate::waiting::{Scope, Waiting};

/// Changes that are taken at once.
const BATCH: usize = 64;

/// Objects that are looked at before changes are taken again.
const LOOKS: usize = 64;

/// Launches that are under way at once.
const LAUNCHES: usize = 32;

/// How often the metrics are set.
const MEASURED: Duration = Duration::from_millis(250);

/// When to wake if nothing is to be done.
const IDLE: Duration = Duration::from_hours(1);

/// What a controller is made of.
#[derive(Debug)]
pub struct Parts {
    /// What every Job has in common.
    pub settings: Settings,
    /// How many Jobs may run.
    pub limits: Limits,
    /// What every plan is made under.
    pub terms: Terms,
    /// What time it is.
    pub clock: Clock,
    /// Events.
    pub voice: Voice,
    /// What others are told about this process.
    pub health: Arc<Health>,
}

/// The state of the loop. Losing it costs the time to list again.
pub struct Controller {
    client: Client,
    parts: Parts,
    world: World,
    queue: Queue,
    slots: Slots,
    /// Whose Jobs have changed since `slots` counted them.
    uncounted: BTreeSet<Uid>,
    /// Whether everything that there was at the start was looked at once.
    has_looked_at_all: bool,
    waiting: Waiting,
    refusals: Refusals,
    standing: Standing,
    role: Role,
    launching: BTreeMap<Uid, Underway>,
    tasks: JoinSet<Done>,
    is_speaking: bool,
    /// When the metrics are to be set next, if something has changed since they were.
    measure_at: Option<Moment>,
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller").field("parts", &self.parts).finish_non_exhaustive()
    }
}

/// A launch that is under way.
#[derive(Debug)]
struct Underway {
    scope: Scope,
    launch: Launch,
    task: Id,
}

/// What a task has done.
#[derive(Debug)]
enum Done {
    Launched(Uid, Result<Box<KnownJob>, LaunchError>),
    Said(Box<Said>),
}

/// An Event, and whether it is published.
#[derive(Debug)]
struct Said {
    about: ObjectReference,
    notice: Notice,
    /// Whom it stands about.
    uid: Option<Uid>,
    published: bool,
}

impl Controller {
    /// A controller that has seen nothing.
    pub fn new(client: Client, parts: Parts) -> Self {
        let refusals = Refusals::new(parts.terms.tenant_chart.clone());
        Self {
            client,
            parts,
            world: World::default(),
            queue: Queue::default(),
            slots: Slots::default(),
            uncounted: BTreeSet::new(),
            has_looked_at_all: false,
            waiting: Waiting::default(),
            refusals,
            standing: Standing::default(),
            role: Role::default(),
            launching: BTreeMap::new(),
            tasks: JoinSet::new(),
            is_speaking: false,
            measure_at: None,
        }
    }

    /// Runs until `stop`, and then until the launches that are under way have ended.
    pub async fn run(
        mut self,
        mut changes: Receiver<Change>,
        mut held: watch::Receiver<Held>,
        stop: impl Future<Output = ()>,
    ) {
        pin!(stop);
        let mut batch = Vec::new();
        loop {
            let now = self.parts.clock.now();
            let is_busy = self.work(&now);
            let wake = if is_busy { Instant::now() } else { self.next_at(&now) };
            select! {
                () = &mut stop => break,
                taken = changes.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        break;
                    }
                    self.take(&mut batch, &self.parts.clock.now());
                }
                Some(done) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => self.settle(done),
                Ok(()) = held.changed() => {
                    let held = *held.borrow_and_update();
                    self.lease(held);
                }
                () = sleep_until(wake) => {}
            }
            if is_busy {
                // The watches and the server run on the same thread.
                tokio::task::yield_now().await;
            }
        }
        self.end().await;
    }

    /// The launches that are under way end; what they answer matters to nobody any more.
    async fn end(mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(LAUNCH_TIMEOUT, all).await.is_err() {
            warn!("launches are still under way: who comes next sees whether they were taken");
        }
    }

    /// Looks at what is to be looked at, and does what is due. Answers whether there is more.
    fn work(&mut self, now: &Now) -> bool {
        if !self.world.is_whole() {
            return false;
        }
        if !self.parts.health.ready.swap(true, Ordering::Relaxed) {
            info!(databases = self.world.databases.len(), "has seen every object");
        }
        // Before anybody is looked at, who would be told else what was refused to others long ago.
        for scope in self.waiting.tidy(now.moment) {
            self.refusals.nobody_waits_for(&scope);
        }
        let mut looks = 0;
        while looks < LOOKS
            && let Some(uid) = self.queue.next(now.moment)
        {
            let begun = Instant::now();
            self.look(&uid, now);
            self.parts.health.metrics.reconcile_seconds.observe(begun.elapsed().as_secs_f64());
            looks += 1;
        }
        // Whose turn it is, only those know who wait. Else whoever is looked at first after a start takes all slots.
        self.has_looked_at_all |= looks < LOOKS;
        if self.has_looked_at_all {
            self.launch_what_is_due(now);
        }
        self.speak(now);
        match self.measure_at {
            Some(at) if at <= now.moment => {
                self.measure();
                self.measure_at = None;
            }
            None if looks > 0 => self.measure_at = Some(now.moment.plus(MEASURED)),
            Some(_) | None => {}
        }
        looks == LOOKS
    }

    /// When to wake, if nothing changes.
    fn next_at(&self, now: &Now) -> Instant {
        if !self.world.is_whole() {
            // Nothing is done before that, so what is overdue must not wake anybody.
            return self.parts.clock.instant(now.moment.plus(IDLE));
        }
        let speaks = self.role.acts() && !self.is_speaking;
        let times = [
            self.queue.next_at(),
            self.waiting.next_at(now.moment).filter(|_| self.role.acts()),
            self.standing.next_at().filter(|_| speaks),
            self.role.next_at(),
            self.measure_at,
        ];
        let soonest = times.into_iter().flatten().min();
        self.parts.clock.instant(soonest.unwrap_or_else(|| now.moment.plus(IDLE)))
    }

    fn settle(&mut self, done: Result<(Id, Done), JoinError>) {
        let now = self.parts.clock.now();
        match done {
            Ok((_, Done::Launched(uid, result))) => self.launched(&uid, result, &now),
            Ok((_, Done::Said(said))) => self.said(*said, &now),
            Err(broken) => {
                error!(error = chain(&broken), "a launch or an Event has panicked");
                self.is_speaking = false;
                let lost = self.launching.iter().find(|(_, underway)| underway.task == broken.id());
                if let Some(uid) = lost.map(|(uid, _)| Arc::clone(uid)) {
                    let name = uid.to_string();
                    self.launched(&uid, Err(LaunchError::Timeout { name }), &now);
                }
            }
        }
    }

    fn lease(&mut self, held: Held) {
        let led = self.role.leads();
        self.role.lease(held);
        self.measure_at = Some(self.parts.clock.now().moment);
        if self.role.leads() && !led {
            // Another process may have spoken meanwhile.
            let stood = self.standing.forget_what_was_said();
            for uid in &stood {
                self.queue.wake_later(uid);
            }
        }
    }
}
