//! Who is to be looked at when something changes.

use std::sync::Arc;

use api::Operation;

use super::{Touched, World};
use crate::seen::job::KnownJob;
use crate::seen::request::KnownRequest;

impl World {
    /// Wakes what a Backup or Restore concerns: itself, its Database, and those that are to be made from it.
    pub(super) fn wake_about(&self, request: &KnownRequest, touched: &mut Touched) {
        touched.woken.push(Arc::clone(&request.uid));
        let named = |request: &KnownRequest| Some(Arc::clone(&self.databases.named(&request.about())?.uid));
        touched.woken.extend(named(request));
        if request.operation == Operation::Backup {
            touched.woken.extend(self.requests.restores_of(request).filter_map(named));
            let key = (Arc::clone(&request.namespace), Arc::clone(&request.name));
            touched.woken.extend(self.databases.made_from(&key).map(Arc::clone));
        }
    }

    /// Wakes what a Job works on, and what waits for its end.
    pub(super) fn wake_worked_on(&self, job: &KnownJob, live: bool, touched: &mut Touched) {
        let concerned = [Some(&job.uid), job.request.as_ref(), job.wishes.source.as_ref()];
        let known = concerned.into_iter().flatten().filter(|uid| self.knows(uid)).map(Arc::clone);
        if live { touched.woken.extend(known) } else { touched.woken_later.extend(known) }
    }

    /// Wakes what a Driver works on, and every Backup that is being deleted, for any Driver can do that.
    pub(super) fn wake_driven(&self, name: &str, touched: &mut Touched) {
        let driven = self.databases.all().filter(|database| *database.driver == *name);
        touched.woken_later.extend(driven.map(|database| Arc::clone(&database.uid)));
        let deleted = self.requests.all().filter(|request| request.deletion.is_some());
        touched.woken_later.extend(deleted.map(|request| Arc::clone(&request.uid)));
    }

    pub(super) fn wake_namespace(&self, name: &Arc<str>, touched: &mut Touched) {
        let databases = self.databases.in_namespace(name);
        touched.woken.extend(databases.map(|database| Arc::clone(&database.uid)));
        let requests = self.requests.all().filter(|request| request.namespace == *name);
        touched.woken.extend(requests.map(|request| Arc::clone(&request.uid)));
    }
}
