//! What the operator does about a Backup that is being deleted, all of it. Pure: the caller says what time it is.

use api::Operation;
use api::{Backup, RETRY_ANNOTATION};
use k8s_openapi::jiff::Timestamp;

use crate::database::decide::{Decision, Settled, Stuck, attempt_after, await_job, is_in_the_way};
use crate::database::facts::{JobFact, Registered, Wishes, job_fact};
use crate::seen::jobs::{Jobs, KnownJob};
use crate::subject::Guarded;
use crate::voice::{Notice, stuck_job};

/// What a decision about one Backup rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether our finalizer is set, so that something may be in the store.
    pub guarded: bool,
    /// `metadata.generation`.
    pub generation: i64,
    /// Whether somebody asks for an attempt by annotation, and how.
    pub wishes: Wishes,
    /// Which `Driver` there is for it.
    pub driver: Registered,
    /// The Jobs that let it go, and those that write or load it, as long as it matters. In no particular order.
    pub jobs: Vec<JobFact>,
}

impl Facts {
    /// The facts about `backup`, whose Jobs are among `jobs`.
    pub fn of(
        backup: &Backup,
        jobs: &Jobs,
        driver: Registered,
        operator_namespace: &str,
        now: Timestamp,
    ) -> Self {
        let object = Guarded::Backup(backup);
        let ours = jobs.of(object.uid()).iter().filter(|job| is_trusted(job, object, operator_namespace));
        // What is written after the folder was emptied would stay for ever, and a database that is half loaded from
        // it could not be finished. What is retained may be either.
        let uid = Some(object.uid());
        let users = jobs.active().filter(move |job| {
            let writes = job.operation == Operation::Backup && job.request.as_deref() == uid;
            backup.deletes_what_is_stored()
                && job.namespace == object.namespace()
                && (writes || job.source.as_deref() == uid)
        });
        let written_by = backup.status.as_ref().and_then(|status| status.job.as_ref());
        let recorded = |job: &KnownJob| job.operation == Operation::Backup && written_by == Some(&job.name);
        Self {
            guarded: backup.is_guarded(),
            generation: object.generation(),
            wishes: Wishes {
                retry: object.annotation(RETRY_ANNOTATION).map(str::to_owned),
                ..Wishes::default()
            },
            driver,
            jobs: ours.chain(users).map(|job| job_fact(job, recorded(job), now)).collect(),
        }
    }

    /// The Job that lets it go because its namespace is terminating, if there is one.
    pub fn released_by(&self) -> Option<&str> {
        let release = self.jobs.iter().find(|job| job.operation == Operation::Release);
        release.map(|release| release.name.as_str())
    }
}

/// A Job counts only from where it was launched: labels can be set by anybody who may create Jobs.
pub(crate) fn is_trusted(job: &KnownJob, object: Guarded<'_>, operator_namespace: &str) -> bool {
    let home = match job.operation {
        Operation::Release => operator_namespace,
        _ => object.namespace(),
    };
    job.namespace == home && job.uid == object.uid()
}

/// What to do about a Backup that is being deleted. The first rule that matches holds.
pub fn decide(facts: &Facts) -> Decision {
    if !facts.guarded {
        return Decision::Settled(Settled::NothingLeft);
    }
    // One Job at a time, and none beside one that writes or loads it.
    if let Some(active) = facts.jobs.iter().find(|job| is_in_the_way(job, None)) {
        return await_job(active);
    }
    // A namespace that is terminating stays so: what was released before goes on being released.
    let operation = if facts.released_by().is_some() { Operation::Release } else { Operation::DeleteBackup };
    let newest = facts
        .jobs
        .iter()
        .filter(|job| job.operation == operation && job.generation == facts.generation)
        .max_by_key(|job| job.attempt);
    match attempt_after(newest, 0, operation, &facts.wishes, facts.generation, false) {
        Err(wait) => Decision::Wait(wait),
        // It takes no engine, so another Driver's image can do it.
        Ok(launch) => match facts.driver {
            Registered::Named | Registered::Others => Decision::Launch(launch),
            Registered::None => Decision::Stuck(Stuck::UnknownDriver { probe: false }),
        },
    }
}

/// What to say about a decision, if anything.
pub fn notice(decision: &Decision, backup: &Backup) -> Option<Notice> {
    let Decision::Stuck(stuck) = decision else { return None };
    match stuck {
        Stuck::UnknownDriver { .. } => Some(Notice::warning(
            "UnknownDriver",
            "no Driver is registered: what this Backup has stored is deleted once a platform team registers one; to leave what is stored, set spec.deletionPolicy to Retain then".to_owned(),
        )),
        Stuck::NoPod { .. } | Stuck::NotRunning { .. } => stuck_job(stuck, Guarded::Backup(backup).namespace()),
        Stuck::Contradiction => None,
    }
}

/// What to say where a Backup is let go because its namespace is terminating.
pub fn left_in_place(backup: &Backup) -> Notice {
    let object = Guarded::Backup(backup);
    let place = backup.location().map_or_else(
        || "nothing was stored".to_owned(),
        |location| {
            format!(
                "what is stored in {} of bucket {} was left in place",
                [location.s3.prefix.as_deref().unwrap_or_default().trim_matches('/'), &location.path]
                    .join("/")
                    .trim_start_matches('/'),
                location.s3.bucket
            )
        },
    );
    Notice::warning(
        "BackupLeftInPlace",
        format!(
            "namespace {} is terminating; of Backup {}, {place}, for no Job can start there any more. To have it deleted, delete the Backup objects before their namespace",
            object.namespace(),
            object.name()
        ),
    )
}

#[cfg(test)]
mod tests;
