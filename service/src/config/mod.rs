//! Configuration files in TOML: how values are spelled, and where a fault stands. The keys are each program's own.

pub mod value;

mod fault;

pub use fault::Fault;
