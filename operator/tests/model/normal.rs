//! States that differ in nothing that matters are one.

use crate::state::{GONE, Job, Name, REQUESTS, Series, Stage, State};

/// Forgets what nobody can decide by any more, and counts attempts without gaps: the next one is one more than the
/// highest, whatever that is.
pub(crate) fn normal(state: &mut State) {
    forget_jobs(state);
    forget_left(state);
    forget_folders(state);
    count_without_gaps(state);
    state.jobs.sort_by_key(|job| (job.name, job.request));
    state.late.sort_by_key(|job| job.name);
    state.spent.sort_unstable();
    state.used.sort_unstable();
    state.requests.sort_by_key(|request| request.uid);
    state.folders.sort_by_key(|folder| folder.attempt);
}

/// What series are counted on: the object, and the requests that are there.
struct Counted {
    object: Option<(u8, u8)>,
    requests: Vec<u8>,
}

impl Counted {
    fn of(state: &State) -> Self {
        let object = state.object.map(|object| (object.uid, object.generation));
        Self { object, requests: state.requests.iter().map(|request| request.uid).collect() }
    }

    /// Whether attempts of that series are counted on still.
    fn has(&self, name: Name) -> bool {
        let is_request = |uid: u8| uid == GONE || self.requests.contains(&uid);
        if name.uid >= REQUESTS {
            return is_request(name.uid);
        }
        self.object.is_some_and(|(uid, now)| {
            let counts = match name.series {
                Series::Generation(generation) => generation == now,
                Series::Request(request) => is_request(request),
            };
            uid == name.uid && counts
        })
    }
}

fn forget_jobs(state: &mut State) {
    let counted = Counted::of(state);
    let names: Vec<Name> = state.jobs.iter().map(|job| job.name).collect();
    let is_newest =
        |name: &Name| !names.iter().any(|other| other.counts_with(*name) && other.attempt > name.attempt);
    state.jobs.retain(|job| job.is_active() || (counted.has(job.name) && is_newest(&job.name)));
    // The operator forgets them, too.
    state.spent.retain(|name| counted.has(*name));
    let State { used, jobs, late, .. } = state;
    used.retain(|name| {
        counted.has(*name) || jobs.iter().chain(&*late).any(|job| job.name.counts_with(*name))
    });
    if state.used.is_empty() {
        state.forgot = false;
    }
}

/// What was left matters as long as it is there, or a run may make it.
fn forget_left(state: &mut State) {
    let State { left, jobs, server, .. } = state;
    left.retain(|uid| {
        let is_there = server.is_some_and(|server| server.mark == *uid);
        is_there || jobs.iter().any(|job| job.name.uid == *uid)
    });
}

fn forget_folders(state: &mut State) {
    let mut named: Vec<u8> = Vec::new();
    named.extend(state.object.and_then(|object| object.announced).map(|(attempt, _)| attempt));
    for run in state.jobs.iter().filter_map(Job::run) {
        named.extend(run.attempt);
        named.extend(run.stale.and_then(|read| read.announced).map(|(attempt, _)| attempt));
    }
    named.sort_unstable();
    named.dedup();
    state.folders.retain(|folder| named.contains(&folder.attempt));
    let rank = |attempt: &mut u8| {
        *attempt = u8::try_from(named.iter().position(|known| known == attempt).unwrap()).unwrap();
    };
    state.folders.iter_mut().for_each(|folder| rank(&mut folder.attempt));
    if let Some(announced) = state.object.as_mut().and_then(|object| object.announced.as_mut()) {
        rank(&mut announced.0);
    }
    for job in &mut state.jobs {
        if let Stage::Running(run) = &mut job.stage {
            run.attempt.iter_mut().for_each(&rank);
            if let Some(announced) = run.stale.as_mut().and_then(|read| read.announced.as_mut()) {
                rank(&mut announced.0);
            }
        }
    }
}

/// Every name of a Job that the state says.
fn names(state: &mut State, mut each: impl FnMut(&mut Name)) {
    for job in state.jobs.iter_mut().chain(&mut state.late) {
        each(&mut job.name);
        if let Stage::Running(run) = &mut job.stage {
            run.found.iter_mut().for_each(&mut each);
            if let Some(read) = &mut run.stale {
                read.claim.iter_mut().for_each(&mut each);
            }
        }
    }
    state.spent.iter_mut().chain(&mut state.used).for_each(&mut each);
    if let Some(object) = &mut state.object {
        object.claim.iter_mut().for_each(&mut each);
        object.completed.iter_mut().for_each(&mut each);
    }
    for request in &mut state.requests {
        request.completed_by.iter_mut().for_each(&mut each);
    }
}

fn count_without_gaps(state: &mut State) {
    let mut said = Vec::with_capacity(8);
    names(state, |name| {
        if !said.contains(name) {
            said.push(*name);
        }
    });
    names(state, |name| {
        let below = said.iter().filter(|known| known.attempt < name.attempt && known.counts_with(*name));
        name.attempt = u8::try_from(below.count() + 1).unwrap();
    });
}
