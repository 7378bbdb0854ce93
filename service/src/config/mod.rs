//! Configuration files in TOML: how values are spelled, where a fault stands, what a new one changes. The keys, and
//! what they mean, are each program's own.

#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod value;

mod document;
mod fault;
mod group;
mod reload;

pub use document::{Document, LoadError};
pub use fault::Fault;
pub use group::group_id;
pub use reload::{Keys, Reload, Taken};
