//! The words by which Jobs are known: labels and annotations.

/// Label: what the Job does.
pub const OPERATION: &str = "db.isotoma.com/operation";
/// Label: the generation that the Job was built from.
pub const GENERATION: &str = "db.isotoma.com/generation";
/// Label: counts the Jobs of one operation on one generation.
pub const ATTEMPT: &str = "db.isotoma.com/attempt";
/// Label: the uid of the Backup or Restore that the Job works on.
pub const REQUEST: &str = "db.isotoma.com/request";
/// Label: the name of the Database, as [`label_value`] cuts it.
pub const DATABASE: &str = "db.isotoma.com/database";
/// Label: the namespace of the Database.
pub const NAMESPACE: &str = "db.isotoma.com/namespace";
/// Label: the version of what operator and Job agree on, for the time when an operator finds older Jobs.
pub const PROTOCOL: &str = "db.isotoma.com/protocol";
/// The present value of [`PROTOCOL`].
pub const PROTOCOL_VERSION: &str = "2";
/// Label: the name of the `Driver`.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Label: what kind of thing it is, [`NAME_VALUE`].
pub const NAME: &str = "app.kubernetes.io/name";
/// The value of [`NAME`].
pub const NAME_VALUE: &str = "db-operator-driver";

/// Annotation: the uid of the Backup that is loaded, which was complete when the Job was launched.
pub const SOURCE: &str = "db.isotoma.com/source";
/// Annotation: hash of the value of `db.isotoma.com/retry` when it was launched.
pub const RETRY_WISH: &str = "db.isotoma.com/retry-wish";
/// Annotation: hash of the value of `db.isotoma.com/reconcile` when it was launched.
pub const RECONCILE_WISH: &str = "db.isotoma.com/reconcile-wish";
/// Annotation: uid and generation of the `Driver` that it was built from.
pub const DRIVER: &str = "db.isotoma.com/driver";

/// Longest value of a label.
const LONGEST_LABEL: usize = 63;

/// `name` as the value of a label: itself if it fits, else its beginning and a hash of it.
pub fn label_value(name: &str) -> String {
    if name.len() <= LONGEST_LABEL {
        return name.to_owned();
    }
    let begin = name.get(..LONGEST_LABEL - 11).unwrap_or_default().trim_end_matches(['-', '.']);
    format!("{begin}-{}", api::names::short_hash(name, 10))
}
