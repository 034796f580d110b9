//! The label by which what belongs to a test is found.

/// On namespaces its value is the test's name, on cluster-scoped objects the namespace's.
pub(crate) const LABEL: &str = "db-operator-e2e/test";

/// The label on cluster-scoped objects of a test.
pub(crate) fn own_label(namespace: &str) -> (String, String) {
    (LABEL.to_owned(), namespace.to_owned())
}
