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

/// Whether attempts of that series are counted on still.
fn counts(state: &State, name: &Name) -> bool {
    let is_request = |uid: u8| state.requests.iter().any(|request| request.uid == uid) || uid == GONE;
    if name.uid >= REQUESTS {
        return is_request(name.uid);
    }
    let object = state.object.filter(|object| object.uid == name.uid);
    object.is_some_and(|object| match name.series {
        Series::Generation(generation) => generation == object.generation,
        Series::Request(uid) => is_request(uid),
    })
}

fn forget_jobs(state: &mut State) {
    let known = state.clone();
    let is_newest = |job: &Job| {
        let mut others = known.jobs.iter();
        !others.any(|other| other.name.counts_with(&job.name) && other.name.attempt > job.name.attempt)
    };
    state.jobs.retain(|job| job.is_active() || (counts(&known, &job.name) && is_newest(job)));
    // The operator forgets them, too.
    state.spent.retain(|name| counts(&known, name));
    let jobs = state.jobs.clone();
    let late = state.late.clone();
    let is_there = |name: &Name| jobs.iter().chain(&late).any(|job| job.name.counts_with(name));
    state.used.retain(|name| counts(&known, name) || is_there(name));
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
    let mut said = Vec::new();
    names(state, |name| said.push(*name));
    said.sort_unstable();
    said.dedup();
    names(state, |name| {
        let below = said.iter().filter(|known| known.counts_with(name) && known.attempt < name.attempt);
        name.attempt = u8::try_from(below.count() + 1).unwrap();
    });
}
