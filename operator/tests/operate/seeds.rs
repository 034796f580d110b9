//! Whole stories by seed: people, faults, operators that crash; and what holds at the end of each.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use db_operator::attempts::FIRST_BACKOFF;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::chance::Chance;
use crate::people::{self, Wanted};
use crate::play::{Operator, in_paused_time};
use crate::server::{Post, Server, State};

/// How long things go wrong.
const TROUBLE: Duration = Duration::from_secs(150);

/// How long it may take afterwards until all is as people want it: the longest backoff, and a watch that is deaf.
const PATIENCE: Duration = Duration::from_mins(45);

/// How long the operator may go on with what it knew: so long it trusts a watch that has gone deaf. A run for what is
/// done already finds nothing to do.
const STALE: Duration = Duration::from_mins(2);

/// How long nothing must happen once all is done and the operator knows it.
const QUIET: Duration = Duration::from_mins(8);

/// How many Jobs may be at work at once in every story, in all and on one server.
const CAPS: (usize, usize) = (4, 3);

/// How long a story may take by the clock on the wall: more, and it turns in a circle in which no time passes.
const ENDLESS: Duration = Duration::from_mins(2);

/// How often `make fuzz` plays one seed again: which of two things that are ready comes first is tokio's chance, not ours.
const AGAIN: u64 = 20;

/// How many new seeds are played before the clock is looked at.
const ROUND: u64 = 8;

/// How many seeds `cargo test` plays.
const SEEDS: u64 = 200;

#[test]
fn a_database_is_created_and_goes_when_it_is_deleted() {
    in_paused_time(async {
        let server = Server::new(Chance::of(1), 0);
        server.namespace("shop");
        server.driver("engine", "img:1");
        let operator = Operator::start(&server, "op-1", &[]);
        let key = server.database("shop", "orders", &json!({}));
        server.all_created("shop", Duration::from_secs(20)).await;
        server.delete(&key);
        let gone = server.until(Duration::from_secs(20), |state| state.store.get(&key).is_none()).await;
        assert!(gone, "{:?}", server.state().store.get(&key));
        assert!(server.state().cluster.on_the_server.is_empty());
        assert_eq!(server.state().posts.len(), 2, "one creates it and one deletes it");
        operator.end().await;
    });
}

#[test]
fn whatever_fails_all_is_done_once_it_works_again() {
    let met = AtomicU64::new(0);
    let failed = play_all(0..SEEDS, &met);
    assert!(failed.is_empty(), "seeds {failed:?} fail; run one again with: make fuzz SEED={}", failed[0]);
    let met = met.into_inner();
    assert!(met > SEEDS * 10, "only {met} faults were met");
}

/// `make fuzz`, and one seed again.
#[test]
#[ignore = "`make fuzz` runs it, with new seeds each time"]
fn new_seeds() {
    if let Some(seed) = given("SEED") {
        return (0..AGAIN).for_each(|_| within(ENDLESS, seed, || play_one(seed, &AtomicU64::new(0))));
    }
    let seconds = given("FUZZ_SECONDS").unwrap_or(60);
    let first = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() << 16;
    let (begun, met, mut next) = (std::time::Instant::now(), AtomicU64::new(0), first);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let failed = play_all(next..next + ROUND, &met);
        assert!(failed.is_empty(), "run it again with: make fuzz SEED={}", failed[0]);
        next += ROUND;
    }
    eprintln!("{} seeds from {first} on, {} faults met, none failed", next - first, met.into_inner());
}

/// The number that is given by hand, if one is: `make fuzz` leaves empty what is not.
#[expect(clippy::disallowed_methods, reason = "how a test is given anything by hand")]
fn given(name: &str) -> Option<u64> {
    let text = std::env::var_os(name).filter(|text| !text.is_empty())?;
    let number = text.to_str().and_then(|text| text.parse().ok());
    Some(number.unwrap_or_else(|| panic!("{name} is to be a whole number, and is {}", text.display())))
}

/// Plays seeds on every core, and answers those that fail.
fn play_all(seeds: std::ops::Range<u64>, met: &AtomicU64) -> Vec<u64> {
    let next = AtomicU64::new(seeds.start);
    let player = || {
        let mut failed = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return failed;
            }
            if catch_unwind(AssertUnwindSafe(|| within(ENDLESS, seed, || play_one(seed, met)))).is_err() {
                eprintln!("seed {seed} fails");
                failed.push(seed);
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let players: Vec<_> = (0..cores).map(|_| scope.spawn(player)).collect();
        players.into_iter().flat_map(|player| player.join().unwrap()).collect()
    })
}

/// Ends the process if a story does not end: nothing else can end one that never waits.
fn within(limit: Duration, seed: u64, story: impl FnOnce()) {
    let (ended, watched) = std::sync::mpsc::channel::<()>();
    let watchman = std::thread::spawn(move || {
        if watched.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            eprintln!(
                "seed {seed} does not end: something turns in a circle; run it again with: make fuzz SEED={seed}"
            );
            std::process::abort();
        }
    });
    let result = catch_unwind(AssertUnwindSafe(story));
    drop(ended);
    watchman.join().unwrap();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

fn play_one(seed: u64, met: &AtomicU64) {
    in_paused_time(async {
        let mut chance = Chance::of(seed);
        let ahead = [0, 3_600, -3_600][usize::try_from(chance.below(3)).unwrap()];
        let server = Server::new(chance.split(), ahead);
        {
            let mut state = server.state();
            state.streams = chance.thousandth(800);
            state.faults.per_mille = chance.below(120);
            state.cluster.pods.failing = chance.below(60);
        }
        server.namespace("system");
        let operators = tokio::spawn(operators(Arc::clone(&server), chance.split()));
        let trouble = tokio::spawn({
            let (server, chance) = (Arc::clone(&server), chance.split());
            async move { people::trouble(&server, chance, TROUBLE).await }
        });
        let wanted = people::play(&server, &mut chance).await;
        trouble.await.unwrap();
        {
            let mut state = server.state();
            state.faults.per_mille = 0;
            state.cluster.pods.failing = 0;
        }
        let operators = operators.await.unwrap();
        let done = server.until(PATIENCE, |state| missing(state, &wanted).is_empty()).await;
        assert!(done, "seed {seed}: {:?}", missing(&server.state(), &wanted));
        let jobs = server.state().posts.len();
        sleep(STALE).await;
        check_again(&server.state().posts[jobs..], seed);
        let jobs = server.state().posts.len();
        sleep(QUIET).await;
        let late: Vec<_> = server.state().posts[jobs..].to_vec();
        assert!(late.is_empty(), "seed {seed}: all is done, and yet there were {late:?}");
        assert_eq!(missing(&server.state(), &wanted), [""; 0], "seed {seed}");
        check(&server.state(), seed);
        for operator in operators {
            operator.end().await;
        }
        met.fetch_add(server.state().faults.met, Ordering::Relaxed);
    });
}

/// One or two operators, which crash and come again as long as there is trouble.
async fn operators(server: Arc<Server>, mut chance: Chance) -> Vec<Operator> {
    let caps = [format!("--max-jobs={}", CAPS.0), format!("--max-jobs-per-server={}", CAPS.1)];
    let flags = caps.each_ref().map(String::as_str);
    let start = |name: usize| Operator::start(&server, &format!("op-{name}"), &flags);
    let mut names = 0..;
    let mut running: Vec<_> =
        names.by_ref().take(1 + usize::from(chance.thousandth(500))).map(start).collect();
    while server.age() < TROUBLE {
        sleep(chance.time(5_000, 90_000)).await;
        if chance.thousandth(500) {
            let operator = running.remove(0);
            if chance.thousandth(500) {
                operator.crash();
            } else {
                drop(tokio::spawn(operator.end()));
            }
            running.extend(names.next().map(start));
        }
    }
    running
}

/// What is not yet as people want it.
fn missing(state: &State, wanted: &Wanted) -> Vec<String> {
    let mut missing = Vec::new();
    for key in &wanted.kept {
        let it = state.store.get(key).unwrap();
        let is_current = it["status"]["observedGeneration"] == it["metadata"]["generation"];
        let wish = &it["metadata"]["annotations"][api::RECONCILE_ANNOTATION];
        let is_handled = *wish == it["status"]["lastHandledReconcile"];
        if it["status"]["phase"] != json!("Created") || !is_current || !is_handled {
            missing.push(format!("{key:?} is {}", it["status"]["phase"]));
        }
    }
    let gone = wanted.deleted.iter().filter(|key| state.store.get(key).is_some());
    missing.extend(gone.map(|key| format!("{key:?} is still there")));
    let phase = |key| state.store.get(key).map_or(Value::Null, |it| it["status"]["phase"].clone());
    let open = wanted.requests.iter().filter(|key| phase(key) != json!("Completed"));
    missing.extend(open.map(|key| format!("{key:?} is {}", phase(key))));
    let untold = wanted.nonsense.iter().filter(|key| !state.was_told("Undecodable", &key.2));
    missing.extend(untold.map(|key| format!("of {key:?} nobody was told")));
    missing
}

/// What is done already is run again no sooner than after the shortest wait, and so only a few times.
fn check_again(posts: &[Post], seed: u64) {
    let mut again = BTreeMap::<_, u64>::new();
    for post in posts {
        *again.entry(&post.uid).or_default() += 1;
    }
    let most = STALE.as_secs() / FIRST_BACKOFF.as_secs();
    assert!(
        again.values().all(|count| *count <= most),
        "seed {seed}: all is done, and yet there were {posts:?}"
    );
}

/// What must never have happened.
fn check(state: &State, seed: u64) {
    let mut names = BTreeSet::new();
    for post in &state.posts {
        assert!(names.insert((&post.namespace, &post.name)), "seed {seed}: {} was made twice", post.name);
    }
    let most = (state.cluster.most_at_work, state.cluster.most_on_one_server);
    assert!(most.0 <= CAPS.0, "seed {seed}: {} were at work at once", most.0);
    assert!(most.1 <= CAPS.1, "seed {seed}: {} were at work at once on one server", most.1);
    let left: Vec<_> = state.cluster.on_the_server.iter().collect();
    for uid in left {
        assert!(
            state.store.with_uid("databases", uid).is_some() || state.was_retained(uid),
            "seed {seed}: {uid} was left"
        );
    }
}
