//! What the watches bring.

use super::decode::{Broken, Object};
use crate::kind::Kind;

/// What a watch has brought.
#[derive(Debug)]
pub enum Change {
    /// A list of all begins: what is not in it does not exist any more when it is [`Complete`](Change::Complete).
    Begin(Kind),
    /// This object is in the list.
    Listed(Object),
    /// The list is whole.
    Complete(Kind),
    /// This object is new or has changed.
    Applied(Object),
    /// This object is gone.
    Gone(Object),
    /// This object is there and cannot be decoded.
    Broken(Broken),
    /// This object could not be decoded and is gone.
    BrokenGone(Broken),
}
