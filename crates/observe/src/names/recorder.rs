//! The values of labels about the flight recorder.

use super::label::label;

label! {
    /// Why a request that the flight recorder looks for has no record.
    RecordDropped {
        /// Its worker had made as many records of that kind within the second as it may.
        Rate = "rate",
        /// The record is longer than its ring.
        Room = "room",
    }
}
