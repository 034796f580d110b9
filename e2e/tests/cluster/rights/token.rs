//! How long the operator's tokens are good.

use tokio::sync::RwLock;

/// Whoever holds a token of the operator's account reads it; the test that ends all of them writes it.
pub(crate) static OPERATORS_TOKEN: RwLock<()> = RwLock::const_new(());
