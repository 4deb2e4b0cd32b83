//! Readers and the writer of a fetch, step by step.
