//! Random times, from sums and products alone: the mathematical library of another system may round otherwise, and a
//! simulation that is to repeat itself cannot bear the difference.

use std::time::Duration;

use fastrand::Rng;

/// How long a server works on a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Service {
    /// Exponentially distributed, as where many small causes add up.
    Even,
    /// Nineteen of twenty requests take half the mean, the others ten and a half times as long (each again
    /// exponentially distributed), as where pages and reports come from the same servers.
    HeavyTail,
}

impl Service {
    /// A time of this distribution.
    pub fn draw(self, mean: Duration, rng: &mut Rng) -> Duration {
        let scale = match self {
            Self::Even => 1.0,
            Self::HeavyTail if rng.u32(..20) == 0 => 10.5,
            Self::HeavyTail => 0.5,
        };
        exponential(mean.mul_f64(scale), rng)
    }
}

/// An exponentially distributed time: between two events of which each may happen at any moment.
pub fn exponential(mean: Duration, rng: &mut Rng) -> Duration {
    // In (0, 1], whose logarithm is finite.
    mean.mul_f64(-ln(1.0 - rng.f64()))
}

/// The natural logarithm of a positive, normal number, by the series of the inverse hyperbolic tangent.
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = (bits >> 52) as i64 - 1_023;
    let mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1_023 << 52);
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let (mut power, mut sum) = (s, 0.0);
    for odd in (1..40).step_by(2) {
        sum += power / f64::from(odd);
        power *= s * s;
    }
    2.0 * sum + exponent as f64 * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_one() {
        for x in [1e-300, 1e-9, 0.1, 0.5, 0.999, 1.0, 1.5, 2.0, 1e9] {
            assert!((ln(x) - x.ln()).abs() <= 1e-12 * x.ln().abs().max(1.0), "{x}");
        }
    }

    #[test]
    fn drawn_times_have_their_mean() {
        for service in [Service::Even, Service::HeavyTail] {
            let (mut rng, mean) = (Rng::with_seed(1), Duration::from_millis(20));
            let sum: Duration = (0..100_000).map(|_| service.draw(mean, &mut rng)).sum();
            let found = sum.as_secs_f64() / 100.0;
            assert!((19.0..21.0).contains(&found), "{service:?}: {found} ms");
        }
    }
}
