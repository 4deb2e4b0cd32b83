//! Tests of admission as its drivers see it.
