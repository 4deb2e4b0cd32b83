//! Keys and tokens of a system: made at its first start, kept in its state directory, readable by their owner alone.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};

use crate::settings::read_secret;

/// Random bytes of a secret.
const BYTES: usize = 32;

/// The secret in a file, which is made if need be.
///
/// # Errors
/// The file can be neither made nor read.
pub fn kept(file: &Path) -> anyhow::Result<String> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(mut new) => {
            let secret = random()?;
            new.write_all(secret.as_bytes())
                .with_context(|| format!("{} cannot be written", file.display()))?;
            Ok(secret)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => read_secret(file),
        Err(error) => Err(error).with_context(|| format!("{} cannot be made", file.display())),
    }
}

fn random() -> anyhow::Result<String> {
    let mut bytes = [0; BYTES];
    if let Err(error) = getrandom::fill(&mut bytes) {
        bail!("the system gives no random numbers: {error}");
    }
    let mut text = String::with_capacity(2 * BYTES);
    for byte in bytes {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_hidden_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let first = kept(&file).unwrap();
        assert_eq!(first.len(), 64);
        assert_eq!(kept(&file).unwrap(), first);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(kept(&folder.path().join("other")).unwrap(), first);
    }
}
