//! The Secret with the login, after the Service Binding specification: the only module that writes Secrets.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use tracing::info;

use crate::failure::{Failure, Result, kubernetes};
use api::Reason;
use api::{DRIVER_FIELD_MANAGER, Database, MANAGED_BY, MANAGED_BY_LABEL};
use driver::secret::Secret;

/// The key of the password, which is there from the start.
const PASSWORD: &str = "password";

/// A key that is there only when the Secret is complete.
const URI: &str = "uri";

/// The Secret of one Database.
pub(crate) struct BindingSecret {
    api: Api<KubernetesSecret>,
    name: String,
    namespace: String,
    owner: OwnerReference,
    kind: String,
    /// Whether the Database's status says that this Secret is its own.
    recorded: bool,
    /// The Secret as it was last read or written.
    seen: Seen,
}

/// What is known of a Secret.
enum Seen {
    /// Nobody has looked.
    NotYet,
    /// There is none.
    Missing,
    /// It is there.
    There(Box<KubernetesSecret>),
}

impl Seen {
    fn there(&self) -> Option<&KubernetesSecret> {
        match self {
            Self::There(secret) => Some(secret),
            Self::NotYet | Self::Missing => None,
        }
    }
}

/// What a Secret is to carry besides its password.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) data: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl BindingSecret {
    /// The Secret of `database`, whose engine is `engine`. Nothing is read or written yet.
    pub(crate) fn new(client: Client, database: &Database, engine: &str) -> Self {
        let namespace = database.metadata.namespace.clone().unwrap_or_default();
        let name = database.metadata.name.clone().unwrap_or_default();
        let owner = OwnerReference {
            api_version: "db.isotoma.com/v1alpha1".to_owned(),
            kind: "Database".to_owned(),
            name: name.clone(),
            uid: database.metadata.uid.clone().unwrap_or_default(),
            controller: Some(true),
            // Setting it needs finalizer rights where that admission check is on.
            block_owner_deletion: None,
        };
        let kind = format!("servicebinding.io/{engine}");
        let binding = database.status.as_ref().and_then(|status| status.binding.as_ref());
        let recorded = binding.is_some_and(|binding| binding.name == name);
        Self {
            api: Api::namespaced(client, &namespace),
            name,
            namespace,
            owner,
            kind,
            recorded,
            seen: Seen::NotYet,
        }
    }

    /// Name of the Secret.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The password in the Secret. If there is none, makes one and stores it before anybody uses it.
    pub(crate) async fn password(&mut self) -> Result<Secret> {
        // One that should not be there yet is not asked for, which saves a request.
        let mut found = if self.recorded { self.read().await? } else { None };
        if found.is_none() {
            let password = driver::kit::password::random()?;
            if let Some(created) = self.create(&password).await? {
                info!(secret = self.name, "stored a new password");
                self.seen = Seen::There(Box::new(created));
                return Ok(password);
            }
            self.seen = Seen::NotYet;
            found = self.read().await?;
        }
        let Some(secret) = found else {
            return Err(Failure::new(Reason::Internal, format!("{self} comes and goes; trying again later")));
        };
        if !self.owns(&secret) {
            return Err(Failure::new(
                Reason::SecretConflict,
                format!(
                    "{self} exists and does not belong to this Database: delete or rename it, or give the Database another name"
                ),
            ));
        }
        if secret.immutable == Some(true) || secret.type_.as_deref() != Some(self.kind.as_str()) {
            return Err(Failure::new(
                Reason::SecretConflict,
                format!("{self} is immutable, or not of type {}: delete it, and it is made again", self.kind),
            ));
        }
        if let Some(password) = password_in(&secret) {
            return Ok(password);
        }
        // Somebody took the password out. It is stored again before its first use.
        let password = driver::kit::password::random()?;
        let data = BTreeMap::from([(PASSWORD.to_owned(), password.expose().to_owned())]);
        self.apply(Content { data, ..Content::default() }).await?;
        info!(secret = self.name, "stored a new password in place of a missing one");
        Ok(password)
    }

    /// The password in the Secret, if it is there and ours. Nothing is written.
    pub(crate) async fn stored_password(&mut self) -> Result<Option<Secret>> {
        let found = self.read().await?;
        Ok(found.filter(|secret| self.owns(secret)).as_ref().and_then(password_in))
    }

    /// Whether the Secret carries all of `content` and is as we make it, besides what others have added to it.
    pub(crate) fn holds(&self, content: &Content) -> bool {
        let Some(stored) = self.seen.there() else { return false };
        let wanted = self.secret_with(content);
        let has = |all: &Option<BTreeMap<String, String>>, some: &Option<BTreeMap<String, String>>| {
            some.iter()
                .flatten()
                .all(|(name, value)| all.iter().flatten().any(|found| found == (name, value)))
        };
        let (is, will) = (&stored.metadata, &wanted.metadata);
        let data = |secret: &KubernetesSecret| secret.data.clone().unwrap_or_default();
        let is_data = data(stored);
        data(&wanted).iter().all(|(key, value)| is_data.get(key) == Some(value))
            && has(&is.labels, &will.labels)
            && has(&is.annotations, &will.annotations)
            && is.owner_references.iter().flatten().any(|owner| *owner == self.owner)
            && stored.type_ == wanted.type_
            && stored.immutable != Some(true)
    }

    /// Whether the Secret has been completed, so that an application may have logged in with it.
    pub(crate) async fn is_handed_out(&mut self) -> Result<bool> {
        let secret = self.read().await?.filter(|secret| self.owns(secret));
        Ok(secret.and_then(|secret| secret.data).is_some_and(|data| data.contains_key(URI)))
    }

    /// Makes the Secret carry exactly that, besides what others have added.
    pub(crate) async fn complete(&mut self, content: Content) -> Result<()> {
        self.apply(content).await
    }

    /// Whether it belongs to this Database: by its owner; or it is the one that the Database's status names, and is as we
    /// make them but for its owner, which somebody took away.
    fn owns(&self, secret: &KubernetesSecret) -> bool {
        let metadata = &secret.metadata;
        let owners = || metadata.owner_references.iter().flatten();
        let is_ours_by_its_look =
            metadata.labels.as_ref().is_some_and(|labels| {
                labels.get(MANAGED_BY_LABEL).is_some_and(|manager| manager == MANAGED_BY)
            }) && secret.type_.as_deref() == Some(self.kind.as_str());
        owners().any(|owner| owner.uid == self.owner.uid)
            || (self.recorded && is_ours_by_its_look && owners().next().is_none())
    }

    /// The Secret as it was last read or written; if it was not yet, it is read.
    async fn read(&mut self) -> Result<Option<KubernetesSecret>> {
        if let Seen::NotYet = self.seen {
            let found = self.api.get_opt(&self.name).await;
            let found = found.map_err(|error| kubernetes(&format!("cannot read {self}"), error))?;
            self.seen = found.map_or(Seen::Missing, |secret| Seen::There(Box::new(secret)));
        }
        Ok(self.seen.there().cloned())
    }

    /// Creates the Secret; `None` if there is one of that name.
    #[expect(clippy::disallowed_methods, reason = "this is the one module that writes Secrets")]
    async fn create(&self, password: &Secret) -> Result<Option<KubernetesSecret>> {
        let data = BTreeMap::from([(PASSWORD.to_owned(), password.expose().to_owned())]);
        let secret = self.secret_with(&Content { data, ..Content::default() });
        let parameters =
            PostParams { field_manager: Some(DRIVER_FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match self.api.create(&parameters, &secret).await {
            Ok(created) => Ok(Some(created)),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(None),
            Err(error) => Err(kubernetes(&format!("cannot create {self}"), error)),
        }
    }

    /// Server-side apply; the uid makes sure that it is the Secret that was read.
    #[expect(clippy::disallowed_methods, reason = "this is the one module that writes Secrets")]
    async fn apply(&mut self, content: Content) -> Result<()> {
        let mut secret = self.secret_with(&content);
        secret.metadata.uid = self.seen.there().and_then(|stored| stored.metadata.uid.clone());
        let parameters = PatchParams::apply(DRIVER_FIELD_MANAGER).force();
        let applied = self.api.patch(&self.name, &parameters, &Patch::Apply(&secret)).await;
        let applied = applied.map_err(|error| {
            // Only names and labels of the template can be invalid here.
            if matches!(&error, kube::Error::Api(status) if status.is_invalid()) {
                let message = format!("the API server refuses {self}: correct spec.secretTemplate");
                return Failure::new(Reason::Invalid, message).with_source(error);
            }
            kubernetes(&format!("cannot write {self}"), error)
        })?;
        self.seen = Seen::There(Box::new(applied));
        Ok(())
    }

    /// The Secret with that content, and what every one of ours has.
    fn secret_with(&self, content: &Content) -> KubernetesSecret {
        let mut labels = content.labels.clone();
        labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
        let data = content.data.iter();
        KubernetesSecret {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some(labels),
                annotations: Some(content.annotations.clone()),
                owner_references: Some(vec![self.owner.clone()]),
                ..ObjectMeta::default()
            },
            type_: Some(self.kind.clone()),
            data: Some(
                data.map(|(key, value)| (key.clone(), ByteString(value.clone().into_bytes()))).collect(),
            ),
            ..KubernetesSecret::default()
        }
    }
}

/// The password that a Secret holds.
fn password_in(secret: &KubernetesSecret) -> Option<Secret> {
    let bytes = secret.data.as_ref()?.get(PASSWORD)?;
    std::str::from_utf8(&bytes.0).ok().filter(|text| !text.is_empty()).map(Secret::new)
}

impl std::fmt::Display for BindingSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret {}/{}", self.namespace, self.name)
    }
}
