//! Which of a worker's large responses is compressed now. One at a time: the tables of a brotli encoder fill the processor's cache, so
//! four that alternate take a seventh more CPU; and a small request waits for one of them instead of all.

use std::cell::Cell;

/// How often a response goes on before another one does: a mebibyte of input.
const STEPS: u32 = 16;
/// How often another response looks in vain before it takes the turn of one that waits for its server or its client.
const PATIENCE: u32 = 16;

/// Whose turn it is.
#[derive(Debug, Default)]
pub struct Turns {
    /// The response; 0 for none.
    holder: Cell<u64>,
    /// Steps that it has left.
    left: Cell<u32>,
    /// Steps of all responses so far.
    steps: Cell<u64>,
}

/// What a response that waits for its turn has seen.
#[derive(Debug, Default)]
pub struct Looked {
    steps: u64,
    in_vain: u32,
}

impl Turns {
    /// Whether the response with this number may go on for a step. If not, it asks again after other work of the worker.
    pub fn may_go_on(&self, response: u64, looked: &mut Looked) -> bool {
        let holder = self.holder.get();
        if holder == response && self.left.get() == 0 {
            self.holder.set(0);
            return false;
        }
        if holder != response {
            let is_stuck = looked.is_stuck(self.steps.get());
            if holder != 0 && !is_stuck {
                return false;
            }
            self.holder.set(response);
            self.left.set(STEPS);
        }
        self.left.set(self.left.get() - 1);
        self.steps.set(self.steps.get() + 1);
        true
    }

    /// The response has ended.
    pub fn end(&self, response: u64) {
        if self.holder.get() == response {
            self.holder.set(0);
        }
    }
}

impl Looked {
    /// Notes how many steps there were, and says whether there has been none for too long.
    fn is_stuck(&mut self, steps: u64) -> bool {
        self.in_vain = if self.steps == steps { self.in_vain + 1 } else { 0 };
        self.steps = steps;
        self.in_vain >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::{Looked, PATIENCE, STEPS, Turns};

    #[test]
    fn one_goes_on_until_its_turn_is_over() {
        let turns = Turns::default();
        let (mut one, mut other) = (Looked::default(), Looked::default());
        for _ in 0..STEPS {
            assert!(turns.may_go_on(1, &mut one));
            assert!(!turns.may_go_on(2, &mut other));
        }
        assert!(!turns.may_go_on(1, &mut one));
        assert!(turns.may_go_on(2, &mut other));
        assert!(!turns.may_go_on(1, &mut one));
    }

    #[test]
    fn one_that_is_alone_goes_on() {
        let (turns, mut looked) = (Turns::default(), Looked::default());
        let steps = (0..10 * (STEPS + 1)).filter(|_| turns.may_go_on(1, &mut looked)).count();
        assert_eq!(steps, 10 * STEPS as usize);
    }

    #[test]
    fn one_that_waits_or_has_ended_keeps_none_waiting() {
        let turns = Turns::default();
        let (mut one, mut other) = (Looked::default(), Looked::default());
        assert!(turns.may_go_on(1, &mut one));
        let looks = (1..).find(|_| turns.may_go_on(2, &mut other));
        assert_eq!(looks, Some(PATIENCE + 1));
        assert!(!turns.may_go_on(1, &mut one));
        turns.end(1);
        assert!(!turns.may_go_on(1, &mut one), "it is not the turn of 1 that has ended");
        turns.end(2);
        assert!(turns.may_go_on(1, &mut one));
    }
}
