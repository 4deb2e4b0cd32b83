//! Access tokens: JWTs of a few minutes, which every server can check by itself.

use std::fmt;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Time};
use crate::ids::UserId;
use crate::ports::sessions::SessionId;

/// Bytes of a key at least: as many as HMAC-SHA256 has.
const KEY_BYTES_MIN: usize = 32;

/// What an access token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Who.
    pub user: UserId,
    /// By which session.
    pub session: SessionId,
}

/// Why a token gives no access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It was valid once. The client refreshes its session.
    #[error("the access token has expired")]
    Expired,
    /// It is none of ours.
    #[error("the access token is not valid")]
    Invalid,
    /// The key is too short.
    #[error("the key for access tokens needs {KEY_BYTES_MIN} bytes or more")]
    Key,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    sid: String,
    /// In seconds, as RFC 7519 has it.
    exp: u64,
}

/// Makes and checks access tokens. All servers have the same key.
pub struct AccessTokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    clock: Clock,
    ttl: Duration,
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokens").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

impl AccessTokens {
    /// Tokens signed with `key` that are valid for `ttl`.
    ///
    /// # Errors
    /// `Key`.
    pub fn new(key: &[u8], clock: Clock, ttl: Duration) -> Result<Self, TokenError> {
        if key.len() < KEY_BYTES_MIN {
            return Err(TokenError::Key);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        // Checked below, by our clock.
        validation.validate_exp = false;
        Ok(Self {
            encoding: EncodingKey::from_secret(key).map_err(|_| TokenError::Key)?,
            decoding: DecodingKey::from_secret(key).map_err(|_| TokenError::Key)?,
            validation,
            clock,
            ttl,
        })
    }

    /// A token, and when it expires.
    ///
    /// # Errors
    /// `Invalid`, if it cannot be signed.
    pub fn issue(&self, access: Access) -> Result<(String, Time), TokenError> {
        let exp = self.clock.now().plus(self.ttl).0 / 1000;
        let claims = Claims { sub: access.user.to_string(), sid: access.session.to_string(), exp };
        let header = Header::new(Algorithm::HS256);
        let token = encode(&header, &claims, &self.encoding).map_err(|_| TokenError::Invalid)?;
        Ok((token, Time(exp * 1000)))
    }

    /// What a token says, if it is one of ours and has not expired.
    ///
    /// # Errors
    /// `Expired`, `Invalid`.
    pub fn check(&self, token: &str) -> Result<Access, TokenError> {
        let decoded = decode::<Claims>(token, &self.decoding, &self.validation);
        let claims = decoded.map_err(|_| TokenError::Invalid)?.claims;
        if self.clock.now().0 >= claims.exp.saturating_mul(1000) {
            return Err(TokenError::Expired);
        }
        let user = claims.sub.parse().map_err(|_| TokenError::Invalid)?;
        let session = claims.sid.parse().map_err(|_| TokenError::Invalid)?;
        Ok(Access { user: UserId::from_sql(user), session })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn access() -> Access {
        Access { user: UserId::from_sql(42), session: SessionId::random().unwrap() }
    }

    fn tokens(key: &[u8], clock: &Clock) -> AccessTokens {
        AccessTokens::new(key, clock.clone(), Duration::from_secs(300)).unwrap()
    }

    #[test]
    fn a_token_is_valid_until_it_expires() {
        let clock = Clock::manual(Time(1_780_000_000_000));
        let (tokens, access) = (tokens(KEY, &clock), access());
        let (token, expires) = tokens.issue(access).unwrap();
        assert_eq!(expires, clock.now().plus(Duration::from_secs(300)));
        clock.advance(Duration::from_secs(299));
        assert_eq!(tokens.check(&token), Ok(access));
        clock.advance(Duration::from_secs(1));
        assert_eq!(tokens.check(&token), Err(TokenError::Expired));
    }

    #[test]
    fn a_token_of_another_key_or_algorithm_or_with_other_claims_is_refused() {
        let clock = Clock::manual(Time(1_780_000_000_000));
        let ours = tokens(KEY, &clock);
        let (token, _) = ours.issue(access()).unwrap();
        let (foreign, _) = tokens(&KEY[..].repeat(2), &clock).issue(access()).unwrap();
        let claims = Claims { sub: "1".into(), sid: access().session.to_string(), exp: u64::MAX };
        let hs512 = encode(&Header::new(Algorithm::HS512), &claims, &ours.encoding).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let others: Vec<&str> = foreign.split('.').collect();
        let mixed = format!("{}.{}.{}", parts[0], others[1], parts[2]);
        // {"alg":"none","typ":"JWT"}
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", parts[1]);
        for wrong in [&foreign, &hs512, &mixed, &unsigned, "", "a.b.c"] {
            assert_eq!(ours.check(wrong), Err(TokenError::Invalid), "{wrong}");
        }
        assert!(ours.check(&token).is_ok());
    }

    #[test]
    fn a_short_key_is_refused() {
        let made = AccessTokens::new(&KEY[1..], Clock::System, Duration::from_secs(300));
        assert_eq!(made.unwrap_err(), TokenError::Key);
    }
}
