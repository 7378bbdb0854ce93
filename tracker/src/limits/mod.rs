//! How much one address may ask of the tracker. Both doors ask here first, with the time as an argument; nothing here
//! reads a clock or waits.

mod rate;

pub use rate::{Rate, RateKey, RateTable, RetryAfter};
