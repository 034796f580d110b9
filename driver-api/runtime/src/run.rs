//! The context of one run: what every step of its operation works with.

use kube::Client;

use crate::env::{Assignment, RequestName};
use crate::failure::{Failure, Result};
use crate::hidden::Hidden;
use crate::record::Record;
use crate::record::request::{Requested, Wanted};
use api::names::database_name;
use api::{Database, Reason, permission};
use driver::{Driver, Mark, Server, Target, host_port};

/// One run, from what its operation works with.
pub(crate) struct Run<'a> {
    pub(crate) client: Client,
    pub(crate) assignment: &'a Assignment,
    pub(crate) record: Box<Record<Database>>,
    pub(crate) hidden: Hidden,
}

impl Run<'_> {
    /// The Backup or Restore that this run is for, if anybody still asks for it.
    pub(crate) async fn request<K: Requested>(&self) -> Result<Option<Record<K>>> {
        let Some(RequestName { name, uid }) = &self.assignment.request else { return Ok(None) };
        let namespace = &self.assignment.namespace;
        Record::find(self.client.clone(), namespace, name, Some(uid), Wanted::Alive).await
    }

    /// The database that this run is about. If one has been begun, what is recorded of it holds: its name, and the
    /// cluster in its mark, so that an operator which is told another one makes nothing foreign.
    pub(crate) fn target<D: Driver>(&self) -> Target {
        let begun = self.record.begun();
        let cluster = begun.and_then(|status| status.cluster_id.as_ref());
        let mark = Mark::new(cluster.unwrap_or(&self.assignment.cluster_id), &self.assignment.uid);
        let begun = begun.and_then(|status| status.database.clone());
        Target::new(begun.unwrap_or_else(|| database_name(self.record.live())), mark, D::MAX_USERNAME)
    }

    /// The server, as `host:port`, that the database is on or is to be made on.
    pub(crate) fn server_name<D: Driver>(&self) -> String {
        let connect = &self.record.live().spec.connect;
        let begun = self.record.begun().and_then(|status| status.server.clone());
        begun.unwrap_or_else(|| host_port(&connect.host, connect.port().unwrap_or(D::DEFAULT_PORT)))
    }

    /// Fails if the database was begun on another server than `server`, on which nothing of it is found.
    ///
    /// What is on the other one would be forgotten.
    pub(crate) fn check_begun_here(&self, server: &Server) -> Result<()> {
        match self.record.begun().and_then(|status| status.server.as_deref()) {
            Some(begun) if begun != server.to_string() => Err(Failure::new(
                Reason::DatabaseMissing,
                format!(
                    "the database was begun on {begun}, and nothing of it is on {server}: set spec.connect back, or delete the Database with spec.deletionPolicy Retain"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Whether an earlier run has given up what was in the database for the backup of a Restore.
    pub(crate) fn restore_is_begun(&self) -> bool {
        permission::restore_is_begun(self.record.live().phase())
    }
}
