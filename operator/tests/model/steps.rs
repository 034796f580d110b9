//! Every step that leads from a state to another.

use api::Operation;

use crate::normal::normal;
use crate::people;
use crate::promises;
use crate::record::{run_of, written};
use crate::run::{begin, step};
use crate::sees::Sees;
use crate::state::{Folder, Holds, Job, Name, REQUESTS, Session, Stage, State};
use crate::view::{Decisions, Does};

/// A step: what it is, whether it is a fault or a person's doing, and where it leads.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) what: &'static str,
    pub(crate) is_fault: bool,
    pub(crate) to: State,
    /// The promise that it breaks.
    pub(crate) broken: Option<String>,
}

pub(crate) struct Steps<'a> {
    state: &'a State,
    all: Vec<Step>,
}

/// Every step from `state`.
pub(crate) fn steps(state: &State, decisions: &mut Decisions) -> Vec<Step> {
    let mut steps = Steps { state, all: Vec::new() };
    steps.runs();
    steps.operator(decisions);
    steps.kubernetes();
    steps.faults();
    for (what, to) in people::steps(state) {
        steps.push(what, true, to);
    }
    steps.all
}

impl Steps<'_> {
    fn push(&mut self, what: &'static str, is_fault: bool, mut to: State) {
        // Without a finalizer, what is deleted is gone at once.
        if to.object.is_some_and(|object| object.deleted && !object.guarded) {
            let before = to.object.take();
            to.handed_out = None;
            written(&mut to, before, None);
        }
        to.requests.retain(|request| !request.deleted || request.guarded);
        normal(&mut to);
        promises::check(&to);
        let broken = promises::taken();
        self.all.push(Step { what, is_fault, to, broken });
    }

    fn runs(&mut self) {
        for index in 0..self.state.jobs.len() {
            if let Some(next) = step(self.state, index) {
                self.push("a run goes on", false, next);
            }
        }
    }

    /// What the operator launches.
    fn operator(&mut self, decisions: &mut Decisions) {
        let backups = self
            .state
            .requests
            .iter()
            .filter(|request| request.deleted && request.operation == Operation::Backup);
        let about = self.state.object.map(|object| object.uid);
        let about: Vec<_> = about.into_iter().chain(backups.map(|backup| backup.uid)).collect();
        for about in about {
            let mut seen = decisions.about(self.state, about, Sees::All).to_vec();
            seen.dedup();
            for does in seen {
                if let Does::Launch { job, lost_work } = does {
                    promises::is_launched(self.state, &job, lost_work);
                    let mut next = self.state.clone();
                    post(&mut next, job);
                    self.push("a Job is launched", false, next);
                }
            }
            if self.state.may.late == 0 {
                continue;
            }
            let mut late: Vec<Job> = Vec::new();
            for sees in Sees::every(self.state) {
                for does in decisions.about(self.state, about, sees) {
                    if let Does::Launch { job, .. } = does
                        && !late.contains(&job)
                    {
                        late.push(job);
                    }
                }
            }
            for job in late {
                let mut next = self.state.clone();
                next.may.late -= 1;
                next.late.push(job);
                self.push("a launch is decided, and posted later", true, next);
            }
        }
        for index in 0..self.state.late.len() {
            let mut next = self.state.clone();
            let job = next.late.remove(index);
            post(&mut next, Job { beside: true, ..job });
            self.push("a launch that was decided before is posted", false, next);
        }
    }

    /// What Kubernetes says of Jobs, and does in a namespace that ends.
    fn kubernetes(&mut self) {
        for (index, job) in self.state.jobs.iter().enumerate() {
            if job.stage == Stage::Over {
                let mut next = self.state.clone();
                next.jobs.get_mut(index).unwrap().stage = Stage::Complete;
                self.push("a Job is reported complete", false, next);
            }
            let is_in_it = job.name.operation != Operation::Release;
            if self.state.terminating && is_in_it {
                let mut next = self.state.clone();
                forget(&mut next, index);
                self.push("a Job ends with its namespace", false, next);
            }
        }
    }

    fn faults(&mut self) {
        let may = self.state.may;
        for (index, job) in self.state.jobs.iter().enumerate() {
            match job.stage {
                Stage::Running(run) => {
                    if may.crash > 0 {
                        for restarts in [true, false] {
                            let mut next = self.state.clone();
                            next.may.crash -= 1;
                            next.jobs.get_mut(index).unwrap().stage = if restarts {
                                let of_backup = job.name.uid >= REQUESTS;
                                Stage::Running(begin(job.name.operation, of_backup))
                            } else {
                                Stage::Failed { permanent: false }
                            };
                            self.push("a pod dies", true, next);
                        }
                    }
                    if may.lose_lock > 0 && run.session == Session::Holds {
                        let mut next = self.state.clone();
                        next.may.lose_lock -= 1;
                        run_of(&mut next, index).session = Session::Lost;
                        self.push("the server ends a session", true, next);
                    }
                    if may.stick > 0 && run.at == 0 {
                        let mut next = self.state.clone();
                        next.may.stick -= 1;
                        next.jobs.get_mut(index).unwrap().stage = Stage::Stuck;
                        self.push("a pod does not begin", true, next);
                    }
                }
                Stage::Stuck => {
                    let mut next = self.state.clone();
                    let of_backup = job.name.uid >= REQUESTS;
                    let run = begin(job.name.operation, of_backup);
                    next.jobs.get_mut(index).unwrap().stage = Stage::Running(run);
                    self.push("a pod begins after all", true, next);
                }
                Stage::Failed { .. } | Stage::Complete => {
                    if may.expire > 0 {
                        let mut next = self.state.clone();
                        next.may.expire -= 1;
                        forget(&mut next, index);
                        self.push("a Job that has ended is removed", true, next);
                    }
                }
                Stage::Over => {}
            }
        }
        if may.restart > 0 && !self.state.spent.is_empty() {
            let mut next = self.state.clone();
            next.may.restart -= 1;
            next.spent.clear();
            next.forgot = true;
            self.push("the operator is restarted", true, next);
        }
        if may.bucket > 0 {
            self.bucket();
        }
    }

    /// Others write the bucket. Once a delete run has looked at the final backup, nothing can help any more.
    fn bucket(&mut self) {
        let drops =
            |job: &Job| job.name.operation == Operation::Delete && job.run().is_some_and(|run| run.at >= 2);
        if self.state.jobs.iter().any(drops) {
            return;
        }
        for index in 0..self.state.folders.len() {
            let mut next = self.state.clone();
            next.may.bucket -= 1;
            next.folders.remove(index);
            self.push("somebody removes a final backup", true, next);
            let mut next = self.state.clone();
            next.may.bucket -= 1;
            next.folders.get_mut(index).unwrap().holds = Holds::Forged;
            self.push("somebody overwrites a final backup", true, next);
        }
        let announced = self.state.object.and_then(|object| object.announced);
        if let Some((attempt, _)) = announced
            && !self.state.folders.iter().any(|folder| folder.attempt == attempt)
        {
            let mut next = self.state.clone();
            next.may.bucket -= 1;
            next.folders.push(Folder { attempt, holds: Holds::Forged });
            self.push("somebody forges a final backup", true, next);
        }
    }
}

/// The API server takes a Job, unless one of that name exists, or the namespace ends.
fn post(state: &mut State, job: Job) {
    let exists = state.jobs.iter().any(|known| known.name == job.name);
    let is_refused = state.terminating && job.name.operation != Operation::Release;
    if exists || is_refused {
        return;
    }
    if job.beside {
        state.jobs.iter_mut().for_each(|other| other.beside = true);
    }
    let beside = job.beside || state.jobs.iter().any(|other| other.beside && other.is_active());
    state.jobs.push(Job { beside, ..job });
    remember(&mut state.used, job.name);
}

fn remember(names: &mut Vec<Name>, name: Name) {
    match names.iter_mut().find(|known| known.counts_with(name)) {
        Some(known) => known.attempt = known.attempt.max(name.attempt),
        None => names.push(name),
    }
}

/// A Job is gone; the operator remembers its attempt.
fn forget(state: &mut State, index: usize) {
    let job = state.jobs.remove(index);
    remember(&mut state.spent, job.name);
}
