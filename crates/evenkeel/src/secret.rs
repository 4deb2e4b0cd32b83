//! Files that hold one secret each: `server.secret_file`, `admin.token_file`, `redis.password_file`, and `password_file` of
//! `health`.

use std::path::Path;

use evenkeel_config::{Config, FileFault, FileOwner, Pool, Severity};

/// Characters of a bearer token at least, so that it cannot be guessed: 16 random ones of base64 are 96 bits.
const TOKEN_MIN: usize = 16;

/// What such a file holds, without white space around it.
///
/// # Errors
/// It cannot be read, or is empty.
pub fn secret_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let content = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let secret = content.trim_ascii();
    if secret.is_empty() { Err(format!("{} is empty", path.display())) } else { Ok(secret.into()) }
}

/// As [`secret_bytes`], for a secret that travels as text.
///
/// # Errors
/// It cannot be read, is empty, or is not UTF-8.
pub fn secret_text(path: &Path) -> Result<String, String> {
    String::from_utf8(secret_bytes(path)?).map_err(|_| format!("{} is not UTF-8", path.display()))
}

/// As [`secret_text`], for the token that each request to the admin API carries in a header field (RFC 6750, 2.1).
///
/// # Errors
/// As [`secret_text`]; it is shorter than [`TOKEN_MIN`], or holds what no field can carry, such as a second line.
pub fn token(path: &Path) -> Result<String, String> {
    let token = secret_text(path)?;
    let name = path.display();
    let lines = token.lines().count();
    if lines > 1 {
        return Err(format!("{name} holds {lines} lines, and a token is one"));
    }
    if let Some(bad) = token.chars().find(|c| !c.is_ascii_graphic() && *c != ' ') {
        return Err(format!("{name} holds the character {bad:?}, and a token is visible ASCII alone"));
    }
    let length = token.len();
    if length < TOKEN_MIN {
        let characters = if length == 1 { "character" } else { "characters" };
        return Err(format!("{name} holds a token of {length} {characters}, and {TOKEN_MIN} are the least"));
    }
    Ok(token)
}

/// The file that holds the password of a pool's checks, if they sign in with one.
pub fn of_check(pool: &Pool) -> Option<&Path> {
    pool.health.as_ref()?.probe.password_file()
}

/// What is wrong with the secrets that a configuration names.
pub fn check(config: &Config) -> Vec<FileFault> {
    let text = |path: &Path| secret_text(path).err();
    let token = |path: &Path| token(path).err();
    let bytes = |path: &Path| secret_bytes(path).err();
    let redis = config.redis.as_ref().and_then(|redis| redis.password_file.as_deref());
    let named = [
        ("secret_file", config.server.secret_file.as_deref().map(|path| (path, bytes(path)))),
        ("token_file", config.admin.token_file.as_deref().map(|path| (path, token(path)))),
        ("password_file", redis.map(|path| (path, text(path)))),
    ];
    let of_process = named.into_iter().map(|(key, file)| (FileOwner::Process, key, file));
    let of_pools = config.pools.iter().map(|pool| {
        let file = of_check(pool).map(|path| (path, bytes(path)));
        (FileOwner::Pool(pool.name.clone()), "password_file", file)
    });
    let faults = of_process.chain(of_pools).filter_map(|(owner, key, file)| {
        let (path, message) = file.and_then(|(path, fault)| Some((path, fault?)))?;
        Some(FileFault {
            owner,
            key,
            path: path.to_owned(),
            severity: Severity::Error,
            message,
            expected: "expected a file that holds a secret, and that this user may read".into(),
            help: match key {
                "token_file" => "write one with `openssl rand -base64 32`".into(),
                _ => String::new(),
            },
        })
    });
    faults.collect()
}
