//! The Secret with the login, after the Service Binding specification: the only module that writes Secrets.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use tracing::info;

use crate::failure::{Failure, Result};
use crate::record::database::kubernetes;
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
    stored: Option<KubernetesSecret>,
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
        Self { api: Api::namespaced(client, &namespace), name, namespace, owner, kind, stored: None }
    }

    /// Name of the Secret.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The password in the Secret. Where there is none, makes one and stores it before anybody uses it.
    ///
    /// `expected` says that the Secret should exist, which saves a request.
    pub(crate) async fn password(&mut self, expected: bool) -> Result<Secret> {
        let mut found = if expected { self.read().await? } else { None };
        if found.is_none() {
            let password = generate_password()?;
            if let Some(created) = self.create(&password).await? {
                info!(secret = self.name, "stored a new password");
                self.stored = Some(created);
                return Ok(password);
            }
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
                format!("{self} is immutable, or not of type {}: delete it, and it is made anew", self.kind),
            ));
        }
        let stored = secret.data.as_ref().and_then(|data| data.get(PASSWORD));
        let stored =
            stored.and_then(|bytes| std::str::from_utf8(&bytes.0).ok()).filter(|text| !text.is_empty());
        if let Some(text) = stored {
            let password = Secret::new(text);
            self.stored = Some(secret);
            return Ok(password);
        }
        // Somebody took the password out. It is stored again before its first use.
        let password = generate_password()?;
        let data = BTreeMap::from([(PASSWORD.to_owned(), password.expose().to_owned())]);
        self.stored = Some(self.apply(secret.metadata.uid, data, BTreeMap::new(), BTreeMap::new()).await?);
        info!(secret = self.name, "stored a new password in place of a missing one");
        Ok(password)
    }

    /// Whether the Secret has been completed, so that an application may have logged in with it.
    pub(crate) async fn is_handed_out(&self) -> Result<bool> {
        let secret = self.read().await?.filter(|secret| self.owns(secret));
        Ok(secret.and_then(|secret| secret.data).is_some_and(|data| data.contains_key(URI)))
    }

    /// Makes the Secret carry exactly those keys, labels and annotations, besides what others have added.
    pub(crate) async fn complete(
        &mut self,
        data: BTreeMap<String, String>,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
    ) -> Result<()> {
        let uid = self.stored.as_ref().and_then(|secret| secret.metadata.uid.clone());
        self.stored = Some(self.apply(uid, data, labels, annotations).await?);
        Ok(())
    }

    fn owns(&self, secret: &KubernetesSecret) -> bool {
        secret.metadata.owner_references.iter().flatten().any(|owner| owner.uid == self.owner.uid)
    }

    async fn read(&self) -> Result<Option<KubernetesSecret>> {
        self.api.get_opt(&self.name).await.map_err(|error| kubernetes(&format!("cannot read {self}"), error))
    }

    /// Creates the Secret; `None` if there is one of that name.
    #[expect(clippy::disallowed_methods, reason = "this is the one module that writes Secrets")]
    async fn create(&self, password: &Secret) -> Result<Option<KubernetesSecret>> {
        let secret = KubernetesSecret {
            metadata: self.metadata(None, BTreeMap::new(), BTreeMap::new()),
            type_: Some(self.kind.clone()),
            data: Some(BTreeMap::from([(
                PASSWORD.to_owned(),
                ByteString(password.expose().as_bytes().to_vec()),
            )])),
            ..KubernetesSecret::default()
        };
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
    async fn apply(
        &self,
        uid: Option<String>,
        data: BTreeMap<String, String>,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
    ) -> Result<KubernetesSecret> {
        let secret = KubernetesSecret {
            metadata: self.metadata(uid, labels, annotations),
            type_: Some(self.kind.clone()),
            data: Some(data.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))).collect()),
            ..KubernetesSecret::default()
        };
        let parameters = PatchParams::apply(DRIVER_FIELD_MANAGER).force();
        let applied = self.api.patch(&self.name, &parameters, &Patch::Apply(&secret)).await;
        applied.map_err(|error| match &error {
            // Only names and labels of the template can be invalid here.
            kube::Error::Api(status) if status.is_invalid() => Failure::new(
                Reason::Invalid,
                format!("the API server refuses {self}: correct spec.secretTemplate"),
            )
            .with_source(error),
            _ => kubernetes(&format!("cannot write {self}"), error),
        })
    }

    fn metadata(
        &self,
        uid: Option<String>,
        mut labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
    ) -> ObjectMeta {
        labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
        ObjectMeta {
            name: Some(self.name.clone()),
            uid,
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(vec![self.owner.clone()]),
            ..ObjectMeta::default()
        }
    }
}

impl std::fmt::Display for BindingSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret {}/{}", self.namespace, self.name)
    }
}

/// A new password, as every database gets one.
pub(crate) fn generate_password() -> Result<Secret> {
    Ok(driver::kit::password::random()?)
}
