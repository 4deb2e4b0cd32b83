//! The values of labels about upgrades and configurations.

use super::label::label;

label! {
    /// What became of an upgrade of the binary.
    UpgradeResult {
        /// The new process has taken over.
        Success = "success",
        /// It has not, and the old one serves on.
        Failure = "failure",
    }
}

label! {
    /// What became of a new configuration.
    ReloadResult {
        /// It took effect.
        Success = "success",
        /// It was refused, and the old one stays.
        Failure = "failure",
    }
}

label! {
    /// Why a configuration that awaited its confirmation went back.
    RevertReason {
        /// It was not confirmed in time.
        Timeout = "timeout",
        /// Errors jumped.
        Errors = "errors",
        /// The operator wanted it.
        Operator = "operator",
    }
}
