//! Several torrents in one command: a refusal of one does not keep the others from it.

use crate::complain;
use crate::failure::Failure;

/// Refusals that have been told.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// The exit code of the first.
    code: Option<u8>,
}

impl Refusals {
    /// Takes note of how it went with one: `None` when it was refused, and that has been told.
    ///
    /// # Errors
    /// What makes it useless to go on.
    pub(super) fn note<T>(&mut self, result: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(failure) if failure.is_of_one() => {
                complain(&failure);
                self.code.get_or_insert(failure.exit_code());
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// How it went with all: as with the first that was refused.
    pub(super) fn end(self) -> Result<(), Failure> {
        self.code.map_or(Ok(()), |code| Err(Failure::Told(code)))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_first_refusal_makes_the_exit_code() {
        let unreadable = || Failure::Unreadable { path: "a".into(), source: io::ErrorKind::NotFound.into() };
        let mut refusals = Refusals::default();
        assert_eq!(refusals.note(Ok(1)).unwrap(), Some(1));
        assert_eq!(refusals.note::<u8>(Err(unreadable())).unwrap(), None);
        assert!(refusals.note::<u8>(Err(Failure::Gone("x".to_owned()))).is_err());
        assert_eq!(refusals.end().unwrap_err().exit_code(), 2);
        assert!(Refusals::default().end().is_ok());
    }
}
