//! What benchmarks share and change, made when the first of them needs it: one that was not asked for costs nothing.

/// A value, once somebody has looked at it.
pub(crate) struct Lazy<T, F> {
    value: Option<T>,
    make: F,
}

impl<T, F: Fn() -> T> Lazy<T, F> {
    /// What `make` will make.
    pub(crate) fn new(make: F) -> Self {
        Self { value: None, make }
    }

    /// The value, as whoever looked last has left it.
    pub(crate) fn get(&mut self) -> &mut T {
        self.value.get_or_insert_with(&self.make)
    }
}
