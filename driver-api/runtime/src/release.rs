//! The run that lets an object go whose namespace is terminating: no Job of a driver can start there any more.
//!
//! It is no driver's, and asks no server. It reads metadata alone, so that an object which nobody can decode goes too, and
//! takes our finalizer off in a patch that holds nothing else.

use k8s_openapi::NamespaceResourceScope;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tracing::info;

use crate::env::{Assignment, RequestName};
use crate::failure::{Failure, Result, kubernetes};
use crate::outcome::Outcome;
use crate::record::finalizer::let_go;
use crate::record::objects::Objects;
use api::{BACKUP_FINALIZER, Backup, Database, FINALIZER, Operation, Reason};

/// Lets the object go that `assignment` names: a Backup if it names one, else the Database.
pub(crate) async fn perform(client: Client, assignment: &Assignment) -> Outcome {
    match release(client, assignment).await {
        Ok(()) => Outcome::Done,
        Err(error) => Outcome::failed(error.reason(), error.chain()),
    }
}

async fn release(client: Client, assignment: &Assignment) -> Result<()> {
    let Assignment { operation, namespace, database, uid, request, .. } = assignment;
    if *operation != Operation::Release {
        let message =
            format!("this program lets objects go, and cannot do {operation}: a driver's image does that");
        return Err(Failure::new(Reason::Unsupported, message));
    }
    match request {
        Some(RequestName { name, uid }) => go::<Backup>(client, namespace, name, uid, BACKUP_FINALIZER).await,
        None => go::<Database>(client, namespace, database, uid, FINALIZER).await,
    }
}

async fn go<K>(client: Client, namespace: &str, name: &str, uid: &str, finalizer: &str) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned,
{
    let object = format!("{} {namespace}/{name}", K::kind(&()));
    let objects = Objects::<K>::new(client, namespace);
    let found = objects.get_metadata(name).await;
    let found = found.map_err(|error| kubernetes(&format!("cannot read {object}"), error))?;
    let Some(metadata) = found.filter(|metadata| metadata.uid.as_deref() == Some(uid)) else {
        info!("{object} is gone: nothing to do");
        return Ok(());
    };
    if metadata.deletion_timestamp.is_none() {
        let message = format!("{object} is not being deleted, and is not let go");
        return Err(Failure::new(Reason::Superseded, message));
    }
    if !metadata.finalizers.iter().flatten().any(|name| name == finalizer) {
        info!("{object} is not guarded: nothing to do");
        return Ok(());
    }
    info!("the namespace of {object} is terminating: what is on a server or in a store stays there");
    let_go(&objects, &metadata, finalizer).await
}
