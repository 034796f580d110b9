//! The words that objects are known by: group, finalizers, labels, annotations, accounts.

/// The API group of every kind.
pub const GROUP: &str = "db.isotoma.com";

/// Finalizer that guards a Database: something may exist on the server only while it is set.
pub const FINALIZER: &str = "db.isotoma.com/database";

/// Finalizer that guards a Backup whose `deletionPolicy` is `Delete`: it is set before anything is stored.
pub const BACKUP_FINALIZER: &str = "db.isotoma.com/backup";

/// Annotation on a Database: a new value brings a run that verifies and repairs.
pub const RECONCILE_ANNOTATION: &str = "db.isotoma.com/reconcile";

/// Annotation on a Database: a new value launches the next attempt of what failed at once.
pub const RETRY_ANNOTATION: &str = "db.isotoma.com/retry";

/// Field manager of every write that a driver's runtime makes.
pub const DRIVER_FIELD_MANAGER: &str = "db-operator-driver";

/// Value of the label `app.kubernetes.io/managed-by` on everything that we create.
pub const MANAGED_BY: &str = "db-operator";

/// The label whose value is [`MANAGED_BY`].
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Label on what belongs to one Database: its uid. On Jobs, pods and final Backups. On Jobs and pods that let a
/// Backup go, the uid of that.
pub const UID_LABEL: &str = "db.isotoma.com/uid";

/// Service account that driver Jobs run under, in the Database's own namespace.
pub const DRIVER_SERVICE_ACCOUNT: &str = "db-operator-driver";

/// Longest database name that `spec.name` takes and that we derive.
///
/// It leaves room for role suffixes within PostgreSQL's 63 bytes and MySQL's 64 characters.
pub const MAX_DATABASE_NAME: usize = 48;
