//! Pipes that pass from connection to connection of one worker, so that only those that carry much at a time hold one.

use std::cell::{Cell, RefCell};
use std::io;

use evenkeel_net::{Io, Pipe};

/// Pipes of a worker, each with two descriptors and up to 256 KiB of the kernel's memory. A connection that finds none left
/// copies its bytes.
const PIPES_MAX: usize = 64;
/// Of these, kept for later.
const KEPT_MAX: usize = 16;

/// A pipe that goes back when this is dropped.
#[derive(Debug)]
pub struct Lent<'p> {
    /// There until then.
    pipe: Option<Pipe>,
    pipes: &'p Pipes,
}

impl Lent<'_> {
    /// Bytes in it.
    pub fn held(&self) -> usize {
        self.pipe.as_ref().map_or(0, Pipe::held)
    }

    /// Has `io` fill it, with at most `max` bytes.
    ///
    /// # Errors
    /// Those of [`Io::try_fill`].
    pub fn fill(&mut self, io: &Io, max: usize) -> io::Result<usize> {
        self.pipe.as_mut().map_or(Ok(0), |pipe| io.try_fill(pipe, max))
    }

    /// Has `io` take some of it.
    ///
    /// # Errors
    /// Those of [`Io::try_drain`].
    pub fn drain(&mut self, io: &Io) -> io::Result<usize> {
        self.pipe.as_mut().map_or(Ok(0), |pipe| io.try_drain(pipe))
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.pipe.take().into_iter().for_each(|pipe| self.pipes.give(pipe));
    }
}

/// The pipes of one worker.
#[derive(Debug, Default)]
pub struct Pipes {
    kept: RefCell<Vec<Pipe>>,
    /// In use.
    taken: Cell<usize>,
}

impl Pipes {
    /// An empty pipe, if there may be one more, for as long as the result lives.
    pub fn lend(&self) -> Option<Lent<'_>> {
        Some(Lent { pipe: Some(self.take()?), pipes: self })
    }

    /// An empty pipe, if there may be one more.
    pub fn take(&self) -> Option<Pipe> {
        if self.taken.get() >= PIPES_MAX {
            return None;
        }
        let kept = self.kept.borrow_mut().pop();
        let pipe = kept.map_or_else(|| Pipe::new().ok(), Some)?;
        self.taken.set(self.taken.get() + 1);
        Some(pipe)
    }

    /// Takes one back. What is not empty is another connection's, and is closed.
    pub fn give(&self, pipe: Pipe) {
        self.taken.set(self.taken.get().saturating_sub(1));
        let mut kept = self.kept.borrow_mut();
        if kept.len() < KEPT_MAX && pipe.held() == 0 {
            kept.push(pipe);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_and_they_come_back() {
        let pipes = Pipes::default();
        let taken: Vec<Pipe> = std::iter::from_fn(|| pipes.take()).collect();
        assert!(!taken.is_empty() && taken.len() <= PIPES_MAX);
        assert!(pipes.take().is_none());
        assert!(pipes.lend().is_none());
        taken.into_iter().for_each(|pipe| pipes.give(pipe));
        assert_eq!((pipes.taken.get(), pipes.kept.borrow().len()), (0, KEPT_MAX));
        drop(pipes.lend());
        assert_eq!((pipes.taken.get(), pipes.kept.borrow().len()), (0, KEPT_MAX));
    }
}
