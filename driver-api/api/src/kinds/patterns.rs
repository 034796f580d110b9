//! What may stand in the fields that become part of a request to an object store. The store checks the same, for an
//! object may be older than these patterns.

/// The name of a region. It becomes part of a host name.
pub(super) const REGION: &str = "^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$";

/// The name of a bucket, by the rules of S3.
pub(super) const BUCKET: &str = "^[a-z0-9]+(-+[a-z0-9]+)*(\\.[a-z0-9]+(-+[a-z0-9]+)*)*$";

/// Folders, none of which leads elsewhere, of characters that need no escape. Slashes at the ends do not matter.
pub(super) const PREFIX: &str =
    r"^/?(\.*[A-Za-z0-9!_'()*=-][A-Za-z0-9!_'()*=.-]*/)*(\.*[A-Za-z0-9!_'()*=-][A-Za-z0-9!_'()*=.-]*)?$";

/// The same, for one folder below a prefix.
pub(super) const PATH: &str =
    r"^\.*[A-Za-z0-9!_'()*=-][A-Za-z0-9!_'()*=.-]*(/\.*[A-Za-z0-9!_'()*=-][A-Za-z0-9!_'()*=.-]*)*$";
