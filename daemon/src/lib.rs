//! The workshop: everything btd does. The thinking is in `protocol`.

pub mod storage;
pub mod sys;
