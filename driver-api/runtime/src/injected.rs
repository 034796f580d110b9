//! What the kubelet has injected into the container's environment, each with where the Job says that it is from.
//!
//! Whoever may launch a Job could have any Secret of the namespace injected, and any host dialled with it. So nothing is
//! used that is not from where the live object says.

use std::collections::BTreeMap;

use api::env::{INJECTED, S3_CA_FROM, from};
use api::{Reason, TlsCaSource};
use driver::secret::Secret;

use crate::failure::{Failure, Result};

/// What the kubelet has injected.
#[derive(Debug, Default)]
pub(crate) struct Injected {
    values: BTreeMap<&'static str, Value>,
    store_ca_from: Option<String>,
}

#[derive(Debug)]
struct Value {
    text: Secret,
    from: Option<String>,
}

impl Injected {
    /// What `lookup` finds in the environment.
    pub(crate) fn parse(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &'static str| {
            let text = Secret::new(lookup(name)?);
            Some((name, Value { text, from: lookup(&from(name)) }))
        };
        Self { values: INJECTED.into_iter().filter_map(value).collect(), store_ca_from: lookup(S3_CA_FROM) }
    }

    /// The value of the variable `name`, if anything was injected.
    ///
    /// # Errors
    ///
    /// If it is not from `named`, which is what `field` of the live object names.
    pub(crate) fn get(&self, name: &str, named: &str, field: &str) -> Result<Option<&Secret>> {
        let Some(Value { text, from: given }) = self.values.get(name) else { return Ok(None) };
        check(given.as_deref(), named, name, field)?;
        Ok(Some(text))
    }

    /// Fails if the authorities that are mounted for the object store are not those that `field` of the live object
    /// names: whom they sign, the store's client trusts.
    pub(crate) fn check_store_ca(&self, ca: Option<&TlsCaSource>, field: &str) -> Result<()> {
        let named = ca.and_then(TlsCaSource::from);
        let given = self.store_ca_from.as_deref();
        match (named, given) {
            (None, None) => Ok(()),
            (Some(named), given) => check(given, &named, S3_CA_FROM, field),
            (None, Some(given)) => Err(not_trusted(given, field)),
        }
    }

    /// Whether authorities are mounted for an object store.
    pub(crate) fn has_store_ca(&self) -> bool {
        self.store_ca_from.is_some()
    }

    /// Fails if authorities are mounted that are none of those that `field` of live objects names. None have to be.
    pub(crate) fn check_unused_store_ca(&self, named: &[Option<TlsCaSource>], field: &str) -> Result<()> {
        let mut named = named.iter().flatten().filter_map(TlsCaSource::from);
        match &self.store_ca_from {
            Some(given) if !named.any(|named| named == *given) => Err(not_trusted(given, field)),
            Some(_) | None => Ok(()),
        }
    }
}

fn not_trusted(given: &str, field: &str) -> Failure {
    refused(format!(
        "this Job was given the authorities in {given}, which {field} does not name: they are not trusted; the next Job is given what is named"
    ))
}

fn check(given: Option<&str>, named: &str, name: &str, field: &str) -> Result<()> {
    match given {
        Some(given) if given == named => Ok(()),
        Some(given) => Err(refused(format!(
            "{field} is in {named}, and this Job was given what is in {given}: it is not used; the next Job is given what is named"
        ))),
        None => Err(refused(format!(
            "{field} is in {named}, and this Job does not say where its {name} is from: it is not used; see that operator and driver are of one release"
        ))),
    }
}

fn refused(message: String) -> Failure {
    Failure::new(Reason::CredentialsMissing, message)
}
