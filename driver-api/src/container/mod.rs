//! The runtime of a driver's container.
