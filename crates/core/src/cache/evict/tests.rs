//! The policies against naive, exact models, and their bounds.
